// SPDX-License-Identifier: GPL-3.0-or-later
// Format `fp8`: a Hugging Face folder with native FP8 weights in the manner of DeepSeek, read by
// vLLM, SGLang and transformers. Source: formats.md 7.
//
// A scale per tile of 128 x 128 with activations scaled at run time, or one scale per tensor. The
// configuration describes all layers alike, so there is one scheme for all of them. Every other
// tensor is copied as it is stored.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

namespace bitsmith::exporting {

class Fp8NativeExporter : public Exporter
{
public:
    std::string_view id() const override { return "fp8"; }
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

/// The object `quantization_config` of config.json.
Json fp8_native_config(const ExportInput& input);

} // namespace bitsmith::exporting
