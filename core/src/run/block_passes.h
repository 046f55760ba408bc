// SPDX-License-Identifier: GPL-3.0-or-later
// Forward and backward through a whole model with one block in memory at a time: what goes into
// each block is kept, and a block is computed again when the gradient reaches it.
#pragma once

#include "base/context.h"
#include "eval/divergence.h"
#include "model/causal_lm.h"

#include <functional>
#include <vector>

namespace bitsmith {

/// ids int64 [windows, tokens] -> what goes into every block, and what comes out of the last
/// [windows, tokens, hidden], on the model's device, without a graph. Reaches a checkpoint per
/// block.
std::vector<at::Tensor> block_inputs(RunContext& context, const model::CausalLm& model,
    const at::Tensor& ids, const model::BlockShared& shared, const eval::BlockProvider& blocks);

/// Gradient of a loss with respect to `input` of `block`, from that with respect to its output.
/// What requires gradients in the block gets them.
at::Tensor backward_through(const model::DecoderBlock& block, const model::BlockShared& shared,
    const at::Tensor& input, const at::Tensor& gradient);

/// Loss of `hidden` [n, hidden], the positions from `first` on of all; a scalar.
using PositionLoss = std::function<at::Tensor(const at::Tensor& hidden, int64_t first)>;

/// Sum of `loss` over the positions of `hidden` [windows, tokens, hidden], after the last block; few
/// at a time, because each has logits over the vocabulary. With `gradient`, that with respect to
/// `hidden`.
double sum_over_positions(
    const at::Tensor& hidden, const PositionLoss& loss, at::Tensor* gradient = nullptr);

} // namespace bitsmith
