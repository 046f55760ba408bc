// SPDX-License-Identifier: GPL-3.0-or-later
// Tokenizer, special tokens and chat template of a model.
#pragma once

#include "hf/chat_template.h"
#include "hf/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitsmith::hf {

struct TextSide
{
    Tokenizer tokenizer;
    std::optional<ChatTemplate> chat_template;
    std::optional<int32_t> bos, eos, pad;
    std::vector<int32_t> eos_ids; ///< every id that ends a generation (generation_config.json)
    bool adds_bos = false; ///< encode(text, true) begins with bos
};

/// From files by name (tokenizer.json, tokenizer_config.json, special_tokens_map.json, chat_template.jinja,
/// generation_config.json, config.json). Throws FileNotFound naming the files looked for.
TextSide load_text_side(const std::map<std::string, std::string>& files, std::string_view origin);
/// The same from a model folder.
TextSide load_text_side(const std::filesystem::path& model_folder);

} // namespace bitsmith::hf
