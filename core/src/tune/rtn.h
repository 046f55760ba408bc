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
};

/// The planned layers of `block` in execution order. Throws ShapeMismatch when a planned shape is
/// not that of the layer, InvalidSpec when the plan quantizes a layer of the block that cannot be.
std::vector<PlannedLinear> planned_linears(model::DecoderBlock& block, const Plan& plan);

/// Finished layer for codes of `original` [rows, columns] with the errors of its weights; `linear`
/// gets the decoded weight in its own element type. The codes are kept on the CPU.
FinishedLayer finish_layer(
    const PlannedLinear& layer, const at::Tensor& original, const quant::QuantizedWeight& codes);

/// Ranges that the recipe starts a layer with; undefined: those of its groups. `importance` [columns]
/// of search_range.
quant::GroupRange start_range(
    const PlannedLinear& layer, const Recipe& recipe, const at::Tensor& importance);

/// Rounds one layer to its scheme and replaces its weight. `start`: see quant::TunedValues. Throws
/// NumericFailure naming the layer.
FinishedLayer round_layer(const PlannedLinear& layer, const quant::GroupRange& start);

/// tune_block for jobs without calibration data: rounds, emits the same events (losses 0).
BlockResult round_block(
    RunContext& context, model::DecoderBlock& block, const Plan& plan, const Recipe& recipe);

} // namespace bitsmith::tune
