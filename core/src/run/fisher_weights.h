// SPDX-License-Identifier: GPL-3.0-or-later
// Before tuning: how much the outputs of every block count, from one backward pass of the original
// model over the calibration windows.
#pragma once

#include "base/context.h"
#include "calib/calibration_set.h"
#include "model/causal_lm.h"
#include "run/run_folder.h"

namespace bitsmith {

/// Tokens whose inputs of all blocks are kept together: four windows of the default recipe.
inline constexpr int64_t kFisherTokens = 8192;

/// Gradients of ℓ = −Σ log p(label) over the positions that count, the label of each drawn from
/// what the model predicts there. A window draws from a stream of its own, so neither
/// `tokens_at_once` nor a resume changes what is drawn. Blocks are loaded one by one and computed
/// again for the way back.
/// Emits StageProgress of Stage::Calibrate. Throws Cancelled, and NumericFailure with the block.
tune::FisherWeights measure_fisher_weights(RunContext& context, const model::CausalLm& model,
    const calib::CalibrationSet& calibration, int64_t tokens_at_once = kFisherTokens);

/// Those that `folder` holds, otherwise measured and published there. Throws FileCorrupt when the
/// folder's are of another model or text.
tune::FisherWeights load_or_measure_fisher_weights(RunContext& context,
    const model::CausalLm& model, RunFolder& folder, const calib::CalibrationSet& calibration);

} // namespace bitsmith
