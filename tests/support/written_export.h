// SPDX-License-Identifier: GPL-3.0-or-later
// A folder that one exporter wrote, for tests of folder formats.
#pragma once

#include "base/file_ops.h"
#include "base/json_io.h"
#include "export/exporter.h"
#include "source/hf_weights.h"
#include "support/temp_folder.h"

#include <bitsmith/observer.h>

#include <memory>
#include <string>
#include <vector>

namespace bitsmith::test {

template <class ExporterType>
struct WrittenExport
{
    explicit WrittenExport(const exporting::ExportInput& input)
    {
        NullObserver observer;
        EventEmitter events(observer);
        RunContext context{events, {}};
        ExporterType().write(context, disk(), input, folder.path());
    }
    Json config() const { return read_json_file(folder / "config.json"); }
    Json quantization() const { return config()["quantization_config"]; }
    std::shared_ptr<const tensor::TensorSource> stored() const
    {
        return source::open_hf_weights(folder.path()).tensors;
    }
    at::Tensor load(const std::string& name) const { return stored()->load(name); }
    std::vector<std::string> findings(const exporting::ExportInput& input) const
    {
        return ExporterType().verify(folder.path(), &input);
    }
    TempFolder folder;
};

} // namespace bitsmith::test
