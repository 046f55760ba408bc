// SPDX-License-Identifier: GPL-3.0-or-later
// Format `gguf`: one file with weights, tokenizer and template for llama.cpp, Ollama and LM Studio,
// split where it is larger than spec.exports.max_gguf_gb. Source: formats.md 6.
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
    CardText card_text(const ExportInput& input) const override;
    void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const override;
    std::vector<std::string> verify(
        const std::filesystem::path& exported, const ExportInput* input) const override;
};

/// "SmolLM2-135M-Instruct-Q4_0.gguf", or the first part of a split file.
std::string gguf_file_name(const ExportInput& input);

/// The GGUF file that `exported` is or holds, the first that is there of a split one; throws
/// FileNotFound, FileCorrupt for files that are no parts of one model.
std::filesystem::path gguf_file_in(const std::filesystem::path& exported);
/// Is that file one of several parts of a model? Throws the same.
bool is_split_gguf(const std::filesystem::path& exported);

} // namespace bitsmith::exporting
