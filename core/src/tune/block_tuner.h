// SPDX-License-Identifier: GPL-3.0-or-later
// Tunes one block: SignRound (arXiv 2309.05516), or rounding only when the recipe has no steps.
#pragma once

#include "base/context.h"
#include "model/decoder_block.h"
#include "quant/codec.h"
#include "tune/weight_factors.h"

#include <bitsmith/plan.h>
#include <bitsmith/recipe.h>

#include <functional>
#include <map>

namespace bitsmith::tune {

/// Inputs of one block over all samples; tensors may lie on the CPU while the block is on a device.
/// No tensors: there is no calibration data, and the layers are only rounded.
struct BlockInputs
{
    at::Tensor
        reference; ///< [samples, tokens, hidden]: outputs of the original blocks before this one
    at::Tensor quantized; ///< same shape: outputs of the quantized blocks before this one
    at::Tensor mask; ///< bool [samples, tokens]: positions that count
    int64_t holdout = 0; ///< the last `holdout` samples are not tuned on
    /// What positions [samples, tokens] and channels [hidden] of this block's outputs count; exactly
    /// when the recipe's objective is Fisher. See FisherWeights.
    at::Tensor position_weights, channel_weights;
    /// The outputs may be written over `reference` and `quantized`, which the caller gives up.
    bool reuse = false;
    /// fp32 [columns] by layer: what the search of ranges weighs input channels by, in place of what
    /// it measures. May be null, and need not know every layer.
    const std::map<std::string, at::Tensor>* importance = nullptr;
    /// Whether these layers may stay as they are when their numbers fail; empty: none may.
    std::function<bool(const std::vector<std::string>& layers)> may_keep;
};

struct FinishedLayer
{
    std::string name;
    quant::QuantizedWeight weight;
    LayerFinished errors; ///< against the weight with the factors
    WeightFactors factors; ///< of smoothing
    int64_t small_groups = 0; ///< see groups_below_scales
};

/// A layer that the plan quantizes and that stays as it is, because its numbers fail.
struct KeptLayer
{
    std::string name;
    std::string reason; ///< "stays at 16 bits: ..."
};

struct BlockResult
{
    std::vector<FinishedLayer> layers; ///< planned layers of this block, in execution order
    std::vector<KeptLayer> kept; ///< the planned layers that are not among them
    BlockFinished summary;
    quant::NamedNorms norms; ///< that smoothing changed
    quant::CacheMaxima cache; ///< when the recipe quantizes the key/value cache
    at::Tensor reference_outputs; ///< next reference inputs
    at::Tensor quantized_outputs; ///< next quantized inputs
};

/// Quantizes the layers of `block` named in `plan`; their weights in `block` are replaced by the
/// decoded ones, its norms by those that recipe.smoothing gives. Emits BlockStarted, IterationDone,
/// LayerFinished, BlockFinished; reaches a checkpoint every step.
///
/// Each step draws its samples by context.random("batches", block.index) and compares the block's
/// output on the quantized chain (on the reference chain when enable_quanted_input is off; then
/// both output chains are the same tensor) with the original block's on the reference chain. The
/// losses of BlockFinished are taken on the samples of the first step, before it and for what was
/// kept, so they cost no forward of their own; without steps on the first batch_size samples.
/// Output errors of layers come from up to 512 tokens of the quantized chain.
///
/// Numbers that are not finite (ahead.md 4.11): see run_tuning; when steps are given up, the layers
/// are rounded to searched ranges. A block of 16-bit numbers whose outputs overflow computes in
/// fp32 from there on, with a Warning. Outputs beyond fp16 give a Warning in the first block that
/// has them. A layer whose weights no scale of its scheme reaches, or after which the quantized block
/// has such numbers even so, stays as it is where inputs.may_keep allows that, and with it what
/// runtimes fuse with it; each with a Warning, and a LayerFinished of the scheme "keep" whose
/// deviation says why.
///
/// Throws NumericFailure with the tensor when inputs or outputs of the block are not finite, and
/// with the layer for weights that are not; InvalidSpec for steps without samples to tune on,
/// and for smoothing without inputs.
BlockResult tune_block(RunContext& context, model::DecoderBlock& block,
    const model::BlockShared& shared, const BlockInputs& inputs, const Plan& plan,
    const Recipe& recipe);

} // namespace bitsmith::tune
