// SPDX-License-Identifier: GPL-3.0-or-later
// Tokenizer files of a GGUF model, rebuilt from its metadata (formats.md 6.7).
//
//   tokenizer.ggml.model  "gpt2":  byte-level BPE, merges as stored, split by tokenizer.ggml.pre
//                         "llama": SentencePiece BPE with byte fallback; merges follow from the
//                                  pieces' scores, as in the Llama tokenizer's own conversion
//   token_type            1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
#pragma once

#include "base/json_io.h"
#include "tensor/gguf_metadata.h"

#include <map>
#include <string>
#include <vector>

namespace bitsmith::source {

struct GgufTextFiles
{
    /// tokenizer.json, tokenizer_config.json and, with a template, chat_template.jinja.
    std::map<std::string, std::string> files;
    std::vector<std::string> warnings;
};

/// Throws FileCorrupt for vocabularies that contradict themselves (merges of absent tokens, a token
/// twice, ids outside), UnsupportedModel for a tokenizer that is neither of the two kinds.
GgufTextFiles build_gguf_tokenizer(const tensor::GgufMetadata& metadata);

/// The metadata's vocabulary, checked.
struct GgufVocabulary
{
    explicit GgufVocabulary(const tensor::GgufMetadata& metadata);

    int64_t size() const { return static_cast<int64_t>(tokens.size()); }
    bool is_filler(std::size_t id) const; ///< "[PAD7]": a row without a token
    /// Text of the token that `key` names; empty when the key is absent and has no default. Throws
    /// for an id outside.
    std::optional<std::string> special(std::string_view key) const;
    std::optional<int64_t> special_id(std::string_view key) const;
    [[noreturn]] void corrupt(
        std::string_view field, std::string_view found, std::string allowed) const;

    const tensor::GgufMetadata& metadata;
    std::vector<std::string_view> tokens;
    std::vector<int64_t> types; ///< one per token
};

/// Pairs in order of precedence for pieces that are merged by score: every way to split a piece in
/// two pieces, highest score first, then lowest ids. `scores` has one value per token; when all are equal, ids
/// decide, because vocabularies are written in the order of training.
std::vector<std::pair<std::string_view, std::string_view>> merges_from_scores(
    const GgufVocabulary& vocabulary, const std::vector<double>& scores);

} // namespace bitsmith::source
