// SPDX-License-Identifier: GPL-3.0-or-later
// Walks the blocks of a model: load, tune, publish, advance both chains. Continues where a run folder ends.
#pragma once

#include "base/context.h"
#include "calib/calibration_set.h"
#include "model/causal_lm.h"
#include "run/run_folder.h"

namespace bitsmith {

/// What the tuning stage works on; references outlive the call.
struct TuneStage
{
    const JobSpec& spec;
    const model::CausalLm& model;
    RunFolder& folder;
    const calib::CalibrationSet* calibration = nullptr; ///< null: rounding without data
    const std::map<std::string, at::Tensor>* importance = nullptr; ///< see tune::BlockInputs
    const tune::FisherWeights* fisher = nullptr; ///< exactly when the recipe's objective is Fisher
};

/// Tunes every block that the run folder does not hold yet. Emits the events of blocks taken from the folder too, with
/// `resumed` set. Throws what tune_block throws, and Cancelled; finished blocks stay published.
void run_tune_stage(RunContext& context, const TuneStage& whole);

/// Blocks that a run folder holds when tuning has ended; layers outside the blocks count as one more.
int64_t blocks_to_publish(const Plan& plan, int64_t n_blocks);

/// Block `index` with the run's decoded weights in place of the original ones, its
/// changed norms, and its rounded cache.
std::unique_ptr<model::DecoderBlock> load_quantized_block(
    const model::CausalLm& model, const quant::QuantizedStore& store, int64_t index);

/// Puts the run's decoded output head into `model`, when the run has one.
void put_quantized_head(model::CausalLm& model, const quant::QuantizedStore& store);

/// Host and device memory as an event; 0 for the device when that is the CPU.
void emit_memory_sample(RunContext& context);

} // namespace bitsmith
