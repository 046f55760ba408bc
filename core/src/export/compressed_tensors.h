// SPDX-License-Identifier: GPL-3.0-or-later
// Format `llm_compressor`: a Hugging Face folder in the format of compressed-tensors, read by vLLM,
// SGLang, and transformers with the package compressed-tensors. Source: formats.md 5.
//
// Integers as packed words (or a byte each beside integer activations), FP8, MXFP4, MXFP8 and NVFP4,
// mixed as the plan says. Every other tensor is copied as it is stored.
#pragma once

#include "export/exporter.h"

namespace bitsmith::exporting {

class CompressedTensorsExporter : public Exporter
{
public:
    std::string_view id() const override { return "llm_compressor"; }
    FormatInfo info() const override;
    std::string refusal(const Scheme& scheme) const override;
    std::string shape_refusal(const PlannedLayer& layer) const override;
    std::string cache_refusal(CacheType type) const override;
    bool recognizes(const std::filesystem::path& exported) const override;
    int64_t estimate_bytes(const ExportInput& input) const override;
    std::vector<std::string> notes(const ExportInput& input) const override;
    CardText card_text(const ExportInput& input) const override;
    void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const override;
    std::vector<std::string> verify(
        const std::filesystem::path& folder, const ExportInput* input) const override;
};

} // namespace bitsmith::exporting
