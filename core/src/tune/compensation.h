// SPDX-License-Identifier: GPL-3.0-or-later
// Compensated rounding of a block, without gradients: part after part in execution order, each on the
// inputs that the parts quantized before it produce (lab.md 7.3).
#pragma once

#include "base/context.h"
#include "tune/rtn.h"

namespace bitsmith::tune {

/// One block with its calibration inputs.
struct CompensationTask
{
    const model::DecoderBlock& block;
    const model::BlockShared& shared;
    at::Tensor reference; ///< [samples, tokens, hidden]: inputs on the original path
    at::Tensor quantized; ///< same shape: inputs on the quantized path
    at::Tensor position_weights; ///< [samples, tokens] or undefined
    int64_t holdout = 0; ///< samples at the end that stay unseen
    int64_t micro_batch = 1; ///< samples per forward
    c10::Device device = c10::kCPU;
    const std::vector<quant::TunedValues>& starts; ///< of the layers: maxima, no ranges
    int64_t most_kept_bytes = kMostKeptBytes;
};

/// Quantizes `layers` and replaces their weights. `originals` receives the weights before. Layers of
/// one unit have the same inputs and are done together. Throws NumericFailure naming the layer.
std::vector<FinishedLayer> compensate_layers(RunContext& context, const CompensationTask& task,
    const std::vector<PlannedLinear>& layers, std::vector<at::Tensor>& originals);

/// What steps start from to have the codes of compensated rounding: its ranges, and the smallest V that
/// rounds the weights to these codes with some way to the next ones. The weights stay as they are. For
/// affine schemes. Throws as compensate_layers does.
std::vector<quant::TunedValues> compensated_starts(
    RunContext& context, const CompensationTask& task, const std::vector<PlannedLinear>& layers);

} // namespace bitsmith::tune
