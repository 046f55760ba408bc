// SPDX-License-Identifier: GPL-3.0-or-later
// Rounding and clamping with the derivatives that tuning needs. Source: algorithm.md 0, 1.4.
// LibTorch's own clamp does not serve: its derivative at the bounds is 1 in older and 0 in newer
// versions (2.15), and both bounds are where codes and factors stand most of the time.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// To the nearest integer, ties to even.
at::Tensor round_ste(const at::Tensor& x);
/// To the nearest value of fp16; keeps the element type. Beyond fp16's range: infinity.
at::Tensor half_ste(const at::Tensor& x);
/// `value` with the derivative 1 with respect to `source` of the same shape.
at::Tensor pass_gradient(const at::Tensor& value, const at::Tensor& source);
/// Clamps to [low, high] with the derivative 1 inside, bounds included, and 0 outside.
at::Tensor clamp_inside(const at::Tensor& x, double low, double high);
/// Clamps to [low, high] with the derivative 1 everywhere.
at::Tensor clamp_ste(const at::Tensor& x, double low, double high);
/// Raises the magnitude to at least `smallest`, keeping the sign (0 counts as positive); the
/// derivative is 0 where the magnitude was not above it.
at::Tensor apart_from_zero(const at::Tensor& x, double smallest);

} // namespace bitsmith::quant
