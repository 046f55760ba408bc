// SPDX-License-Identifier: GPL-3.0-or-later
// Rounding of layers without steps. Source: algorithm.md 1.6-1.8 with V = 0 and factors 1, 6.1.
#pragma once

#include "tune/block_tuner.h"

namespace bitsmith::tune {

/// A layer of a block that the plan quantizes.
struct PlannedLinear
{
    model::Linear* linear = nullptr;
    const PlannedLayer* planned = nullptr;
    std::string unit; ///< see model::BlockLinear
    model::AddedTo added_to = model::AddedTo::Nothing;
};

/// The planned layers of `block` in execution order. Throws ShapeMismatch when a planned shape is
/// not that of the layer, InvalidSpec when the plan quantizes a layer of the block that cannot be.
std::vector<PlannedLinear> planned_linears(model::DecoderBlock& block, const Plan& plan);

/// Finished layer for codes of `original` [rows, columns] with the errors of its weights; `linear`
/// gets the decoded weight in its own element type and the activations of its scheme. The codes are
/// kept on the CPU.
FinishedLayer finish_layer(
    const PlannedLinear& layer, const at::Tensor& original, const quant::QuantizedWeight& codes);

/// What calibration has to say about a layer before it is quantized.
struct LayerStatistics
{
    at::Tensor importance; ///< [columns] of Codec::search; undefined: all alike
    at::Tensor input_max; ///< fp32 [1]; undefined unless the scheme needs it
    at::Tensor tensor_max; ///< fp32 [1] of TunedValues; undefined: the layer's own
};

/// What inputs.importance has for a layer; undefined when it does not know it.
at::Tensor known_importance(const BlockInputs& inputs, const std::string& layer);

/// What the recipe starts a layer with, before any step.
quant::TunedValues start_values(
    const PlannedLinear& layer, const Recipe& recipe, const LayerStatistics& statistics);

/// For each layer the largest weight of all layers that runtimes fuse with it; undefined for schemes
/// without a scale per tensor. Source: algorithm.md 4.3.
std::vector<at::Tensor> fused_maxima(const std::vector<PlannedLinear>& layers);

/// Emits the layer's errors, after a Warning where weights are too small for their scales.
void report_layer(RunContext& context, const FinishedLayer& layer);

/// Rounds one layer to its scheme and replaces its weight. `start`: see start_values. Throws
/// NumericFailure naming the layer.
FinishedLayer round_layer(const PlannedLinear& layer, const quant::TunedValues& start);

/// tune_block for jobs without calibration data: rounds, emits the same events (losses 0).
BlockResult round_block(RunContext& context, model::DecoderBlock& block, const BlockInputs& inputs,
    const Plan& plan, const Recipe& recipe);

} // namespace bitsmith::tune
