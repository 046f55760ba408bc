// SPDX-License-Identifier: GPL-3.0-or-later
// Scales on the input channels of layers, folded into what comes before them, so that the channels
// that carry much lose less when weights are rounded. Source: AWQ, arXiv 2306.00978, section 3.2.
#pragma once

#include "tune/input_importance.h"
#include "tune/rtn.h"

namespace bitsmith::tune {

/// Whether any layer was smoothed.
bool has_factors(const std::vector<WeightFactors>& layers);

/// Whether a block of these layers is smoothed.
bool wants_smoothing(const Recipe& recipe, const std::vector<PlannedLinear>& layers);

/// The inputs of `block` that may be scaled: all layers that read them, and the layer before, are
/// among `layers`. The others give one Warning.
std::vector<model::FoldableInput> smoothable_inputs(
    RunContext& context, model::DecoderBlock& block, const std::vector<PlannedLinear>& layers);

/// `scales` [channels] > 0 as the block can hold them: where a norm comes before, its weight divided
/// by them is a number of the checkpoint's element type; 1 where there is no such number.
at::Tensor representable_scales(const model::FoldableInput& input, const at::Tensor& scales);

/// Divides what comes before by `scales` (see representable_scales) and multiplies the columns of
/// the readers by them. The block computes the same.
void fold_scales(const model::FoldableInput& input, const at::Tensor& scales);

/// What smoothing did to a block.
struct SmoothedBlock
{
    std::vector<WeightFactors> factors; ///< of the layers; undefined where nothing changed
    quant::NamedNorms norms; ///< that changed, on the CPU
};

/// Scales each of `inputs` by s = m^α / √(max m^α · min m^α), m the mean magnitude of a channel,
/// with that α of 0, 1/20 ... 19/20 whose plain rounding has the smallest Σ h (Ŵ/s - W)² over the
/// readers. α = 0 changes nothing, and is taken too where ranges will be searched (`start`) and
/// searched ranges lose by that α: they leave less to smooth. `seen` by each layer, with magnitudes.
/// Reaches a checkpoint with every α.
SmoothedBlock smooth_inputs(RunContext& context, const std::vector<model::FoldableInput>& inputs,
    const std::vector<InputImportanceHook>& seen, const std::vector<PlannedLinear>& layers,
    Start start);

} // namespace bitsmith::tune
