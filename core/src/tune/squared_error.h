// SPDX-License-Identifier: GPL-3.0-or-later
// The tuner's loss: squared differences, each position counted by its weight.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitsmith::tune {

/// Weighted differences between two outputs [samples, tokens, hidden].
struct SquaredError
{
    at::Tensor difference; ///< fp32 (fp64), weight · (prediction - target); no graph
    double sum = 0; ///< of weight · (prediction - target)²

    /// `weights` bool or floating point [samples, tokens] on any device; undefined: all 1.
    SquaredError(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& weights);
};

/// Weight of all elements in outputs of width `hidden` for `weights` [samples, tokens].
double counted_elements(const at::Tensor& weights, int64_t hidden);

} // namespace bitsmith::tune
