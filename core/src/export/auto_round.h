// SPDX-License-Identifier: GPL-3.0-or-later
// Format `auto_round`: a Hugging Face folder whose quantized linear layers are packed, read by
// transformers with the auto-round package, vLLM and SGLang. Source: formats.md 2.
//
// Integers of 2, 3, 4 and 8 bits, MXFP4, MXFP8, MXINT4, NVFP4 and FP8, one kind per folder; what the
// tensors of a layer are follows from the kind (export/auto_round_layout.h). Every other tensor is
// copied as it is stored.
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

/// The object `quantization_config` of config.json (formats.md 2.1, 2.2, 2.8). Throws as
/// auto_round_packing does.
Json auto_round_config(const ExportInput& input);

} // namespace bitsmith::exporting
