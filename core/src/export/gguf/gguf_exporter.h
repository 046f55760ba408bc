// SPDX-License-Identifier: GPL-3.0-or-later
// Format `gguf`: one file with weights, tokenizer and template for llama.cpp, Ollama and LM Studio,
// in types F32, F16, BF16, Q8_0, Q5_0, Q5_1, Q4_0 and Q4_1. Source: formats.md 6.
#pragma once

#include "export/exporter.h"

namespace bitsmith::exporting {

class GgufExporter : public Exporter
{
public:
    std::string_view id() const override { return "gguf"; }
    FormatInfo info() const override;
    std::string refusal(const Scheme& scheme) const override;
    std::string model_refusal(const ModelInfo& model) const override;
    bool recognizes(const std::filesystem::path& exported) const override;
    int64_t estimate_bytes(const ExportInput& input) const override;
    std::vector<std::string> notes(const ExportInput& input) const override;
    void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const override;
    std::vector<std::string> verify(
        const std::filesystem::path& exported, const ExportInput* input) const override;
};

/// "SmolLM2-135M-Instruct-Q4_0.gguf".
std::string gguf_file_name(const ExportInput& input);

/// The one GGUF file that `exported` is or holds; throws FileNotFound, FileCorrupt for several.
std::filesystem::path gguf_file_in(const std::filesystem::path& exported);

} // namespace bitsmith::exporting
