// SPDX-License-Identifier: GPL-3.0-or-later
// What the words of `tokenizer.ggml.pre` stand for: how text is split before byte pairs are merged,
// and the defaults that come with it (formats.md appendix B).
#pragma once

#include "base/json_io.h"

#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::source {

struct GgufPreTokenizer
{
    std::vector<std::string_view> names; ///< words that mean this one
    /// Regular expressions, each applied to the pieces that the one before left.
    std::vector<std::string_view> splits;
    bool digits_alone = false; ///< begins by splitting off every digit
    bool ignore_merges = false; ///< a piece that is a token is one token, whatever the merges say
    bool adds_bos = false; ///< unless the file says otherwise
    /// Names of the family whose decoder leaves blanks before punctuation alone.
    std::vector<std::string_view> keeps_spaces;
};

/// Throws UnsupportedModel for a word that is not known, naming `file` and the known words.
const GgufPreTokenizer& gguf_pre_tokenizer(std::string_view name, const std::string& file);

/// `pre_tokenizer` of tokenizer.json, byte level at the end.
Json pre_tokenizer_json(const GgufPreTokenizer& pre);

/// Does this word switch off the clean-up of blanks when ids become text?
bool keeps_spaces(const GgufPreTokenizer& pre, std::string_view name);

} // namespace bitsmith::source
