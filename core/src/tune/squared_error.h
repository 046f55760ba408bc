// SPDX-License-Identifier: GPL-3.0-or-later
// The tuner's loss: squared differences, each position and channel counted by its weight, outliers
// left out.
#pragma once

#include <bitsmith/recipe.h>

#include <ATen/core/Tensor.h>

namespace bitsmith::tune {

/// The errors that a loss leaves out. Source: algorithm.md 7.2.
struct Outliers
{
    double fraction = 0; ///< of all elements, at least one of them; 0: none is left out
    /// Each sample has outliers of its own, so that the size of micro-batches changes nothing; the
    /// reference takes those of a whole micro-batch.
    bool per_sample = true;
};
Outliers outliers_of(const Recipe& recipe);

/// Weighted differences between two outputs [samples, tokens, hidden].
struct SquaredError
{
    at::Tensor difference; ///< fp32 (fp64), weight · (prediction - target); no graph
    double sum = 0; ///< of weight · (prediction - target)²

    /// The weight of an element is that of its position times that of its channel.
    /// `weights` bool or floating point [samples, tokens] on any device; undefined: all 1.
    /// `channels` floating point [hidden], of mean 1, on any device; undefined: all 1.
    /// With k outliers, the elements that would add more to the sum than the (k + 1)-th largest add
    /// nothing and have the difference 0; one that is not finite makes the sum NaN all the same.
    SquaredError(const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& weights,
        const Outliers& outliers = {}, const at::Tensor& channels = {});
};

/// Weight of all elements in outputs of width `hidden` for `weights` [samples, tokens].
double counted_elements(const at::Tensor& weights, int64_t hidden);

} // namespace bitsmith::tune
