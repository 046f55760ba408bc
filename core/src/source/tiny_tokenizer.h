// SPDX-License-Identifier: GPL-3.0-or-later
// Tokenizer files of the tiny model: one token per byte, and special tokens behind them.
#pragma once

#include "base/json_io.h"

namespace bitsmith::source {

inline constexpr int64_t kTinyBos = 256, kTinyEos = 257, kTinyTurnStart = 258, kTinyTurnEnd = 259,
                         kTinyPad = 260;

/// tokenizer.json for Hugging Face's tokenizers library: byte-level BPE without merges; ids above the
/// named special tokens are reserved ones, so that every id up to `vocabulary` has a text.
Json tiny_tokenizer(int64_t vocabulary);
/// tokenizer_config.json with a chat template of turns between start and end tokens.
Json tiny_tokenizer_config(int64_t max_length);
/// special_tokens_map.json.
Json tiny_special_tokens();

} // namespace bitsmith::source
