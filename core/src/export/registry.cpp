// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "export/auto_round.h"
#include "export/compressed_tensors.h"
#include "export/exporter.h"
#include "export/gguf/gguf_exporter.h"

#include <bitsmith/catalog.h>

namespace bitsmith {

namespace exporting {

std::vector<const Exporter*> exporters()
{
    static const AutoRoundExporter auto_round;
    static const CompressedTensorsExporter compressed_tensors;
    static const GgufExporter gguf;
    return {&auto_round, &compressed_tensors, &gguf};
}

const Exporter& exporter_for(std::string_view id)
{
    std::vector<std::string> known;
    for (const Exporter* exporter : exporters()) {
        if (exporter->id() == id) {
            return *exporter;
        }
        known.emplace_back(exporter->id());
    }
    const std::string near = nearest(id, known);
    fail(ErrorCode::UnsupportedFormat, "unknown output format",
        {{"found", std::string(id)}, {"allowed", join(known, ", ")}},
        near.empty() ? "" : concat("Did you mean ", near, "?"));
}

const Exporter& exporter_of(const std::filesystem::path& exported)
{
    std::vector<std::string> known;
    for (const Exporter* exporter : exporters()) {
        if (exporter->recognizes(exported)) {
            return *exporter;
        }
        known.emplace_back(exporter->id());
    }
    fail(ErrorCode::UnsupportedFormat, "this is no export of a known format",
        {{"file", exported.string()}, {"allowed", join(known, ", ")}});
}

} // namespace exporting

const std::vector<FormatInfo>& format_catalog()
{
    static const std::vector<FormatInfo> catalog = [] {
        std::vector<FormatInfo> formats;
        for (const exporting::Exporter* exporter : exporting::exporters()) {
            formats.push_back(exporter->info());
        }
        return formats;
    }();
    return catalog;
}

std::string format_refusal(const std::string& format, const Scheme& scheme)
{
    return exporting::exporter_for(format).refusal(scheme);
}

std::string format_model_refusal(const std::string& format, const ModelInfo& model)
{
    return exporting::exporter_for(format).model_refusal(model);
}

} // namespace bitsmith
