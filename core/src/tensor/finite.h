// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitsmith::tensor {

/// NaN and infinite values of a tensor of any type and shape; 0 for one of integers.
int64_t count_non_finite(const at::Tensor& tensor);

} // namespace bitsmith::tensor
