// SPDX-License-Identifier: GPL-3.0-or-later
// The tuned values of one layer, from their start to finished codes.
#pragma once

#include "tune/affine_steps.h"

#include <bitsmith/scheme.h>

#include <string>

namespace bitsmith::tune {

/// Owns rounding offset, factors and gradient of one weight; the weight itself is shared. Not for
/// use from several threads. Source: algorithm.md 1.4.
class TunedWeight
{
public:
    /// `weight` [rows, columns] of any floating point type; fp32 and fp64 are shared, others
    /// widened. Throws NumericFailure naming `layer` for weights that cannot be quantized.
    /// `start`: V, and what tuning does not move; factors are not looked at.
    TunedWeight(const at::Tensor& weight, const Scheme& scheme, std::string_view layer,
        const quant::TunedValues& start = {});

    const Scheme& scheme() const { return state_.scheme; }
    /// The original weight in the element type of the tuned values.
    const at::Tensor& weight() const { return state_.weight; }
    /// Ŵ [rows, columns] of the current values, computed when they have changed; overwritten after
    /// the next step.
    const at::Tensor& values();
    /// The same in another element type, converted once.
    const at::Tensor& values(at::ScalarType type);

    /// Adds (∂L/∂y)ᵀ · x to the gradient; output_gradient [tokens, rows], input [tokens, columns].
    void add_gradient(const at::Tensor& output_gradient, const at::Tensor& input);
    bool has_gradient() const { return has_gradient_; }
    const at::Tensor& gradient() const { return state_.gradient; }
    void clear_gradient() { has_gradient_ = false; }
    /// Uses up the gradient. Without one (an expert that no token reached) nothing moves.
    void step(const StepSizes& sizes);

    /// Copies the tuned values into `copy`, whose buffers are used again.
    void save(quant::TunedValues& copy) const;
    /// Takes values of save; undefined ones mean the start.
    void restore(const quant::TunedValues& saved);
    const quant::TunedValues& tuned() const { return state_.tuned; }

    /// Codes of the current values; what values() gives is their decode, bit for bit.
    quant::QuantizedWeight freeze() const;

private:
    at::Tensor start_; // V; undefined: 0
    AffineState state_;
    at::Tensor
        converted_; // values in the type that was asked for last; undefined when they are stale
    bool is_stale_ = true; // values are not those of the tuned values
    bool has_gradient_ = false;
};

} // namespace bitsmith::tune
