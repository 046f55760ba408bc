// SPDX-License-Identifier: GPL-3.0-or-later
// How much each position of the calibration text counts in a block's loss.
#pragma once

#include <bitsmith/recipe.h>

#include <ATen/core/Tensor.h>

namespace bitsmith::tune {

/// `outputs` [samples, tokens, hidden] of the original block, `mask` bool [samples, tokens] or
/// undefined -> fp32 [samples, tokens] with mean 1 over the positions that count and 0 elsewhere;
/// for Objective::Mse the mask itself.
/// InverseNorm: 1 / |output|², so that the attention sink, whose outputs are hundreds of times
/// larger than the others', does not own the loss (lab.md 7.4).
at::Tensor position_weights(const at::Tensor& outputs, const at::Tensor& mask, Objective objective);

} // namespace bitsmith::tune
