// SPDX-License-Identifier: GPL-3.0-or-later
// What a model is given to continue, and where its answers end.
#pragma once

#include "hf/text_side.h"

namespace bitsmith {

/// Tokens of `prompt`; `chat`: as a user's message. Throws InvalidSpec when `model` has no template.
std::vector<int32_t> encode_prompt(
    const hf::TextSide& text, const std::string& prompt, bool chat, const std::string& model);
/// Every token that ends an answer.
std::vector<int32_t> stop_ids(const hf::TextSide& text);

} // namespace bitsmith
