// SPDX-License-Identifier: GPL-3.0-or-later
// Format `auto_awq`: a Hugging Face folder in the layout of AWQ (version gemm), read by vLLM, SGLang,
// GPTQModel and transformers. Source: formats.md 4.
//
// 4-bit integers, the same scheme for all quantized layers of the blocks; the head stays as it is.
// Every other tensor is copied as it is stored.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

namespace bitsmith::exporting {

class AutoAwqExporter : public Exporter
{
public:
    std::string_view id() const override { return "auto_awq"; }
    FormatInfo info() const override;
    std::string refusal(const Scheme& scheme) const override;
    std::string shape_refusal(const PlannedLayer& layer) const override;
    std::string plan_refusal(const Plan& plan) const override;
    bool recognizes(const std::filesystem::path& exported) const override;
    int64_t estimate_bytes(const ExportInput& input) const override;
    std::vector<std::string> notes(const ExportInput& input) const override;
    CardText card_text(const ExportInput& input) const override;
    void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const override;
    std::vector<std::string> verify(
        const std::filesystem::path& folder, const ExportInput* input) const override;
};

/// The object `quantization_config` of config.json (formats.md 4) for such a plan.
Json auto_awq_config(const ExportInput& input);

} // namespace bitsmith::exporting
