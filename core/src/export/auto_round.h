// SPDX-License-Identifier: GPL-3.0-or-later
// Format `auto_round`: a Hugging Face folder whose quantized linear layers are packed words, read by
// transformers with the auto-round package, vLLM and SGLang. Source: formats.md 2.
//
// All layers symmetric: packing_format `auto_round:auto_gptq` (zero points stored minus one).
// Otherwise: `auto_round` (zero points as they are). Every other tensor is copied as it is stored.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

namespace bitsmith::exporting {

class AutoRoundExporter : public Exporter
{
public:
    std::string_view id() const override { return "auto_round"; }
    FormatInfo info() const override;
    std::string refusal(const Scheme& scheme) const override;
    std::string model_refusal(const ModelInfo& model) const override;
    bool recognizes(const std::filesystem::path& exported) const override;
    int64_t estimate_bytes(const ExportInput& input) const override;
    std::vector<std::string> notes(const ExportInput& input) const override;
    void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const override;
    std::vector<std::string> verify(
        const std::filesystem::path& folder, const ExportInput* input) const override;
};

/// The object `quantization_config` of config.json (formats.md 2.1, 2.2).
Json auto_round_config(const ExportInput& input);

} // namespace bitsmith::exporting
