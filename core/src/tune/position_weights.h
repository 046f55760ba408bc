// SPDX-License-Identifier: GPL-3.0-or-later
// How much each position of the calibration text, and each channel, counts in a block's loss.
#pragma once

#include <bitsmith/recipe.h>

#include <ATen/core/Tensor.h>

#include <string>

namespace bitsmith::tune {

/// `outputs` [samples, tokens, hidden] of the original block, `mask` bool [samples, tokens] or
/// undefined -> fp32 [samples, tokens] with mean 1 over the positions that count and 0 elsewhere;
/// for Objective::Mse the mask itself.
/// InverseNorm: 1 / |output|², so that the attention sink, whose outputs are hundreds of times
/// larger than the others', does not own the loss (lab.md 7.4).
at::Tensor position_weights(const at::Tensor& outputs, const at::Tensor& mask, Objective objective);

/// Objective::Fisher: how much the outputs y of each block of the original model count, from
/// gradients of ℓ = −log p(labels that the model itself draws). Source: lab.md 7.4, 7.5.
struct FisherWeights
{
    /// fp32 [blocks, samples, tokens]: min(20, |∂ℓ/∂y_t|² / mean over the positions that count), 0
    /// for those that do not.
    at::Tensor tokens;
    /// fp32 [blocks, hidden]: mean of (∂ℓ/∂y_c)² over the positions that are tuned on, of mean 1.
    at::Tensor channels;
};

/// The weights of one block's positions from `squares` |∂ℓ/∂y_t|² [samples, tokens]; `mask` as
/// above. Throws NumericFailure with `name` when their mean is zero or not finite.
at::Tensor fisher_positions(
    const at::Tensor& squares, const at::Tensor& mask, const std::string& name);
/// The weights of its channels from `squares` Σ (∂ℓ/∂y_c)² [hidden]. Throws as fisher_positions.
at::Tensor fisher_channels(const at::Tensor& squares, const std::string& name);

} // namespace bitsmith::tune
