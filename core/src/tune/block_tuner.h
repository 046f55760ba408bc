// SPDX-License-Identifier: GPL-3.0-or-later
// Tunes one block: SignRound (arXiv 2309.05516), or rounding only when the recipe has no steps.
#pragma once

#include "base/context.h"
#include "model/decoder_block.h"
#include "quant/codec.h"

#include <bitsmith/plan.h>
#include <bitsmith/recipe.h>

namespace bitsmith::tune {

/// Inputs of one block over all samples; tensors may lie on the CPU while the block is on a device.
struct BlockInputs
{
    at::Tensor
        reference; ///< [samples, tokens, hidden]: outputs of the original blocks before this one
    at::Tensor quantized; ///< same shape: outputs of the quantized blocks before this one
    at::Tensor mask; ///< bool [samples, tokens]: positions that count
    int64_t holdout = 0; ///< the last `holdout` samples are not tuned on
};

struct FinishedLayer
{
    std::string name;
    quant::QuantizedWeight weight;
    LayerFinished errors;
};

struct BlockResult
{
    std::vector<FinishedLayer> layers; ///< planned layers of this block, in execution order
    BlockFinished summary;
    at::Tensor reference_outputs; ///< next reference inputs
    at::Tensor quantized_outputs; ///< next quantized inputs
};

/// Quantizes the layers of `block` named in `plan`; their weights in `block` are replaced by the
/// decoded ones. Emits BlockStarted, IterationDone, LayerFinished, BlockFinished; reaches a
/// checkpoint every step. Throws NumericFailure with block and step when the loss is not finite.
BlockResult tune_block(RunContext& context, model::DecoderBlock& block,
    const model::BlockShared& shared, const BlockInputs& inputs, const Plan& plan,
    const Recipe& recipe);

} // namespace bitsmith::tune
