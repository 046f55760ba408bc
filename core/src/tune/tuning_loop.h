// SPDX-License-Identifier: GPL-3.0-or-later
// The optimisation loop shared by blocks and by layers outside the blocks.
// Source: AutoRound (arXiv 2309.05516); algorithm.md 1.10-1.12.
#pragma once

#include "base/context.h"
#include "tune/fused_weight.h"
#include "tune/squared_error.h"

#include <c10/core/Device.h>

#include <functional>
#include <string>
#include <vector>

namespace bitsmith::tune {

/// What is tuned, on what. The hooks of `weights` are set by the caller for the time of the run.
struct TuningTask
{
    int64_t block = -1; ///< in events and errors; -1 outside the blocks
    std::vector<FusedWeight*> weights;
    /// hidden [n, tokens, hidden] on `device` -> output [n, tokens, width]. Called with and without
    /// gradients.
    std::function<at::Tensor(const at::Tensor& hidden)> forward;
    /// Sample numbers (int64 [n], CPU) -> output of the original on its own inputs.
    std::function<at::Tensor(const at::Tensor& samples)> target;
    at::Tensor inputs; ///< [samples, tokens, hidden] on any device
    at::Tensor position_weights; ///< [samples, tokens] or undefined; see SquaredError
    at::Tensor channel_weights; ///< [width] or undefined; see SquaredError
    Outliers outliers; ///< that losses leave out
    int64_t holdout = 0; ///< the last samples, not tuned on
    int64_t micro_batch = 1; ///< samples per forward
    int64_t global_batch = 1; ///< samples per step; lowered to the number of tuning samples
    c10::Device device = c10::kCPU;
    /// Makes `forward` compute in fp32 from the next call on; false: it does already. May be empty.
    std::function<bool()> widen;
};

struct TuningOutcome
{
    double loss_start = 0; ///< on the samples of the first step, before it
    std::vector<int64_t> first_batch; ///< these samples; none when tuning was given up
    int64_t iterations = 0; ///< steps done
    int64_t best_iteration = 0; ///< steps done in the state that is kept
    bool gave_up = false; ///< the weights are in the state they started from
    std::string deviation; ///< how tuning differed from what was asked, and why; empty: in nothing
};

/// Leaves the state that the recipe's selection keeps in `task.weights`. Emits IterationDone and
/// reaches a checkpoint every step. best_loss of the event is the lowest loss of a mini-batch.
///
/// Losses are means over the elements that count, comparable with each other whatever the weights and
/// the accumulation. Selection:
/// - Last: the state after the last step.
/// - Minibatch: the state whose own batch had the lowest loss, as in the reference.
/// - Holdout: about every fifth of the steps, and before the first, the loss on the held-out
/// samples
///   is taken; the lowest wins. Without held-out samples this is Last.
/// dynamic_max_gap ends the loop for Minibatch and Holdout.
///
/// Out of device memory: halves micro_batch, with a Warning, and tries the step again.
///
/// A loss or gradient that is not finite (ahead.md 4.11): all steps again in fp32 where the task
/// can, then with a quarter of the step sizes, each with a Warning; after that tuning is given up,
/// with another one. Smaller steps and none are a deviation. Throws NumericFailure when the inputs
/// are not finite themselves.
TuningOutcome run_tuning(RunContext& context, const TuningTask& task, const Recipe& recipe);

} // namespace bitsmith::tune
