// SPDX-License-Identifier: GPL-3.0-or-later
// Rounding with the straight-through derivative 1. Source: algorithm.md 0.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// To the nearest integer, ties to even.
at::Tensor round_ste(const at::Tensor& x);
/// To the nearest value of fp16; keeps the element type. Beyond fp16's range: infinity.
at::Tensor half_ste(const at::Tensor& x);

} // namespace bitsmith::quant
