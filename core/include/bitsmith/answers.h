// SPDX-License-Identifier: GPL-3.0-or-later
// Two models answering the same prompts: a quick look at what quantization has changed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitsmith {

struct AnswerPair
{
    std::string prompt;
    std::string original; ///< what the original model answers
    std::string quantized;
    int64_t first_difference = -1; ///< token from 0; -1: both answers are the same

    bool operator==(const AnswerPair&) const = default;
};

/// The prompts of a comparison: eight of different kinds, in the order shown.
const std::vector<std::string>& comparison_prompts();

} // namespace bitsmith
