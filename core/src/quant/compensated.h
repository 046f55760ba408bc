// SPDX-License-Identifier: GPL-3.0-or-later
// Rounding column by column, the error of each column passed on to those that are still to come
// (GPTQ, arXiv 2210.17323), on weights that are first corrected for what the quantized layers
// before have done to the inputs (lab.md 7.3).
#pragma once

#include "quant/codec.h"

namespace bitsmith::quant {

/// Second moments of a layer's inputs over the calibration tokens; Ã are the inputs it will see, A
/// those of the original model, ω the weights of the tokens.
struct InputMoments
{
    at::Tensor hessian; ///< fp32 [in, in]: Σ ω ã ãᵀ
    at::Tensor drift; ///< fp32 [in, in]: Σ ω (a - ã) ãᵀ; undefined: 0
    /// fp32 [rows, in]: Σ ω d ãᵀ, d what the residual stream that the output is added to lacks of the
    /// original one, and W (a - ã) where that is not in `drift`; undefined: 0.
    at::Tensor lacking;
};

/// The weight that reproduces, from the inputs Ã, the original outputs and what the residual stream
/// lacks by the share `correction`: W + τ·(W·drift + lacking)·(H + λI)⁻¹, λ one hundredth of the mean
/// diagonal. fp32 [rows, in].
at::Tensor corrected_weight(
    const at::Tensor& weight, const InputMoments& moments, double correction);

/// Codes of `weight` [rows, in] under the scales that `start` gives it, columns of large input first.
/// Any scheme that has a codec. A Hessian that cannot be factored is damped further. Throws
/// NumericFailure for moments that are not finite, and what Codec::encode throws.
QuantizedWeight compensated_encode(const at::Tensor& weight, const Scheme& scheme,
    const TunedValues& start, const InputMoments& moments);

} // namespace bitsmith::quant
