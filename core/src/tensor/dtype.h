// SPDX-License-Identifier: GPL-3.0-or-later
// Element types: safetensors words <-> LibTorch types.
#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::tensor {

/// "BF16" -> at::kBFloat16; empty for a word that LibTorch has no type for.
std::optional<c10::ScalarType> scalar_type_from(std::string_view safetensors_word);
/// Throws Internal for a type that safetensors has no word for.
std::string_view safetensors_word(c10::ScalarType type);
/// All words that scalar_type_from knows, for messages.
std::vector<std::string> safetensors_words();

} // namespace bitsmith::tensor
