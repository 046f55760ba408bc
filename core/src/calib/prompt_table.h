// SPDX-License-Identifier: GPL-3.0-or-later
// Short prompts that a model answers to make its own calibration text.
#pragma once

#include <span>
#include <string_view>

namespace bitsmith::calib {

/// Explanation, stories, code, mathematics, letters, lists, dialogue, other languages.
std::span<const std::string_view> self_prompts();

} // namespace bitsmith::calib
