// SPDX-License-Identifier: GPL-3.0-or-later
// The tuner's loss: squared differences over the positions that count.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitsmith::tune {

/// Differences between two outputs [samples, tokens, hidden] where the mask allows them.
struct SquaredError
{
    at::Tensor difference; ///< fp32 (fp64), prediction - target, 0 at masked positions; no graph
    double sum = 0; ///< of the squares

    /// `mask` bool [samples, tokens] on any device; undefined: every position counts.
    SquaredError(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& mask);
};

/// Number of elements that count in outputs of width `hidden` for `mask` [samples, tokens].
double counted_elements(const at::Tensor& mask, int64_t hidden);

} // namespace bitsmith::tune
