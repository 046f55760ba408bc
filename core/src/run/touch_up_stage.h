// SPDX-License-Identifier: GPL-3.0-or-later
// After tuning: the scales of all layers together, on the divergence of the whole model.
#pragma once

#include "base/context.h"
#include "calib/calibration_set.h"
#include "model/causal_lm.h"
#include "run/run_folder.h"

namespace bitsmith {

/// Is the stage part of a job with this recipe and plan? `auto`: most layers are tuned, of 4 bits
/// or fewer, and have scales that can be touched up (quant::Codec::tunable_parts).
bool wants_touch_up(const Recipe& recipe, const Plan& plan);

/// Lowers KL(original || quantized) on the calibration windows by Adam on one factor per number of
/// the layers' tunable parts and per weight of a norm, codes frozen (lab.md 7.6), block by block with
/// one block in memory. Publishes parts and norms to `folder`; those of the step with the smallest
/// divergence on the held-out windows, step 0 included. Does nothing when they are published already.
/// Emits StageProgress and MetricReady, and a Warning of layers without tunable parts. Throws
/// Cancelled.
void run_touch_up_stage(RunContext& context, const model::CausalLm& model, RunFolder& folder,
    const calib::CalibrationSet& calibration);

} // namespace bitsmith
