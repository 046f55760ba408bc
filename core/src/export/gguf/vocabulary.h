// SPDX-License-Identifier: GPL-3.0-or-later
// tokenizer.json and its neighbours -> tokenizer.ggml.* (formats.md 6.7).
#pragma once

#include "base/json_io.h"
#include "tensor/gguf_writer.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bitsmith::exporting {

/// Numbers as stored in tokenizer.ggml.token_type.
enum class GgufTokenType : int32_t
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
};

/// What the vocabulary is built from.
struct VocabularyInput
{
    const std::map<std::string, std::string>& files; ///< side files by name
    const Json& config; ///< config.json
    int64_t rows = 0; ///< of the embedding: one token per row
    /// Ids of a text, special tokens included; called once, for byte-level vocabularies.
    std::function<std::vector<int64_t>(const std::string&)> encode;
};

/// Adds every tokenizer.* field. Throws FileNotFound without a tokenizer.json, FileCorrupt for one
/// that contradicts itself or the embedding, UnsupportedModel for a kind of tokenizer or a
/// pre-tokenizer that llama.cpp has no name for.
void add_vocabulary(tensor::GgufFields& fields, const VocabularyInput& input);

/// Template of the model: chat_template.jinja, else tokenizer_config.json, else
/// chat_template.json. Empty when there is none.
std::string chat_template_text(const std::map<std::string, std::string>& files);

} // namespace bitsmith::exporting
