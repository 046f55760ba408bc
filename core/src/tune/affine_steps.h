// SPDX-License-Identifier: GPL-3.0-or-later
// The two passes of a tuning step on whole tensors: values from (W, V, factors) and the update of
// (V, factors). On the CPU they run the kernels of affine_kernels.h, elsewhere and for one group
// per tensor the same formulas in ATen expressions.
#pragma once

#include "quant/affine.h"
#include "tune/sign_sgd.h"

namespace bitsmith::tune {

/// One weight while it is tuned. All tensors are contiguous, on one device, and of one element
/// type, fp32 or (tests) fp64.
struct AffineState
{
    /// `weight` [rows, columns] is shared, not copied. Factors start at 1; everything else is that of
    /// `start`, where an undefined V means 0 and an undefined range that of the weight.
    AffineState(at::Tensor weight, const Scheme& scheme, const quant::TunedValues& start = {});

    Scheme scheme;
    quant::GroupLayout layout;
    at::Tensor weight; ///< [rows, columns]
    quant::GroupRange range; ///< [group_rows, groups] that the factors apply to, constant
    quant::TunedValues tuned; ///< v [group_rows, groups, width], factors [group_rows, groups]
    at::Tensor scale; ///< [group_rows, groups], of the last quantize_
    at::Tensor offset; ///< [group_rows, groups], of the last quantize_: zero point or minimum
    at::Tensor values; ///< [rows, columns], Ŵ of the last quantize_
    at::Tensor gradient; ///< [rows, columns], of the loss with respect to `values`
    /// [group_rows, groups], of the loss with respect to scales and minima of K types; undefined for
    /// other schemes.
    at::Tensor scale_gradient, offset_gradient;
};

/// Writes values, and scale and offset of affine schemes and K types. Schemes without kernels are
/// tuned through the derivatives of their codec.
void quantize_(AffineState& state);
/// Moves the tuned values against the sign of their gradients. Needs the scale and offset of
/// quantize_ with the same tuned values. Source: algorithm.md 1.10, 1.20.
void step_(AffineState& state, const StepSizes& sizes);

/// Both for any scheme, by its codec and automatic differentiation. Public for tests.
void quantize_by_codec_(AffineState& state);
void step_by_codec_(AffineState& state, const StepSizes& sizes);

/// The ATen forms of both for affine schemes, for any device. Public for tests.
void quantize_by_expressions_(AffineState& state);
void step_by_expressions_(AffineState& state, const StepSizes& sizes);

} // namespace bitsmith::tune
