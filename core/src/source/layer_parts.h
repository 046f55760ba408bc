// SPDX-License-Identifier: GPL-3.0-or-later
// Checks that readers of quantized layers share.
#pragma once

#include "tensor/tensor_source.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::source {

inline constexpr int64_t kWordBits = 32; ///< of packed integers

int64_t divide_up(int64_t a, int64_t b);

/// Throws FileCorrupt naming the tensor, its type and shape, and what was expected.
[[noreturn]] void misfit(const tensor::TensorEntry& entry, const std::string& allowed);

/// Throws MissingTensor.
const tensor::TensorEntry& part(const tensor::TensorSource& stored, const std::string& name);

/// Throws FileCorrupt for another type or shape.
void require(
    const tensor::TensorEntry& entry, std::string_view dtype, const std::vector<int64_t>& shape);

/// Throws FileCorrupt unless the tensor is a matrix with at least one element.
void require_matrix(const tensor::TensorEntry& entry);

/// F16, BF16 or F32.
bool is_plain_float(const tensor::TensorEntry& entry);

/// `name` without `ending`; empty when it ends otherwise.
std::string layer_of(std::string_view name, std::string_view ending);

} // namespace bitsmith::source
