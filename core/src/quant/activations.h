// SPDX-License-Identifier: GPL-3.0-or-later
// Activations as a runtime with quantized inputs sees them.
#pragma once

#include "quant/codec.h"

namespace bitsmith::quant {

/// x [..., in] rounded to the activation numbers of `scheme` and back, in x's element type. Groups lie
/// along the features of a token, with scales from the token itself unless the scheme has static ones.
/// `input_max` fp32 [1]: largest activation; needed by schemes with needs_input_max(), may be
/// undefined for NvFp, which then takes that of x. Differentiable with the derivative 1.
/// Source: algorithm.md 4.3, 4.5, 4.6.
at::Tensor fake_quantize_activations(
    const at::Tensor& x, const Scheme& scheme, const at::Tensor& input_max);

} // namespace bitsmith::quant
