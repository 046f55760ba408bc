// SPDX-License-Identifier: GPL-3.0-or-later
// Powers of two, exact where logarithms and pow of vector libraries are not.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// p of 2^p <= |x| < 2^(p+1), int32; a very small number for zero. Without derivative.
at::Tensor exponents(const at::Tensor& x);
/// 2^exponent, fp32 or fp64; exponents of normal numbers only.
at::Tensor power_of_two(const at::Tensor& exponent, at::ScalarType type);

} // namespace bitsmith::quant
