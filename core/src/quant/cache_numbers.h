// SPDX-License-Identifier: GPL-3.0-or-later
// Keys and values as a runtime with an 8-bit cache keeps them: E4M3 numbers with one calibrated
// scale per block for either. Source: algorithm.md 4.8, formats.md 5.9.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// What the numbers of a cache whose magnitudes are at most `largest` (fp32 [1]) are multiplied by:
/// fp32 [1].
at::Tensor cache_scale(const at::Tensor& largest);

/// x of any shape rounded to such numbers and back, in x's element type; what lies beyond `largest`
/// is clipped. Differentiable with the derivative 1.
at::Tensor fake_quantize_cache(const at::Tensor& x, const at::Tensor& largest);

} // namespace bitsmith::quant
