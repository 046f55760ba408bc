// SPDX-License-Identifier: GPL-3.0-or-later
// Format `auto_gptq`: a Hugging Face folder in the layout of GPTQ, read by GPTQModel, transformers,
// vLLM, SGLang and the converter of llama.cpp. Source: formats.md 3.
//
// All layers symmetric: checkpoint_format `gptq`, zero points minus one. Otherwise `gptq_v2`, zero
// points as they are: readers disagree about what a zero point of 0 becomes in `gptq`. Every other
// tensor is copied as it is stored.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

namespace bitsmith::exporting {

class AutoGptqExporter : public Exporter
{
public:
    std::string_view id() const override { return "auto_gptq"; }
    FormatInfo info() const override;
    std::string refusal(const Scheme& scheme) const override;
    std::string shape_refusal(const PlannedLayer& layer) const override;
    bool recognizes(const std::filesystem::path& exported) const override;
    int64_t estimate_bytes(const ExportInput& input) const override;
    std::vector<std::string> notes(const ExportInput& input) const override;
    CardText card_text(const ExportInput& input) const override;
    void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const override;
    std::vector<std::string> verify(
        const std::filesystem::path& folder, const ExportInput* input) const override;
};

/// The object `quantization_config` of config.json, and the file quantize_config.json (formats.md 3.2).
/// Exceptions stand in `dynamic` under expressions that match one name each.
Json auto_gptq_config(const ExportInput& input);

} // namespace bitsmith::exporting
