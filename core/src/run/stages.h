// SPDX-License-Identifier: GPL-3.0-or-later
// Small pieces that jobs are made of.
#pragma once

#include "base/context.h"
#include "calib/calibration_set.h"
#include "eval/divergence.h"
#include "model/causal_lm.h"
#include "source/model_source.h"

#include <bitsmith/job.h>

namespace bitsmith {

/// Emits StageStarted now and StageFinished when the scope ends without an exception.
class StageScope
{
public:
    StageScope(RunContext& context, Stage stage, std::string detail);
    ~StageScope();
    StageScope(const StageScope&) = delete;
    StageScope& operator=(const StageScope&) = delete;

private:
    RunContext& context_;
    Stage stage_;
    double start_seconds_;
    int exceptions_;
};

/// What a decoder is opened for; says in which element type it computes.
enum class Purpose
{
    Tuning, ///< many passes: what the device multiplies fastest, bf16 where it has units for it
    Measuring, ///< figures and text that others must be able to reproduce: fp32
};

/// The decoder of an opened model on the context's device.
model::CausalLm make_model(
    const RunContext& context, const source::ModelSource& source, Purpose purpose);

/// Lets `model` answer prompts: sampled at temperature 1, seeded by the context, stopped at the model's end tokens.
calib::Sampler make_sampler(
    RunContext& context, const model::CausalLm& model, const source::ModelSource& source);

/// One MetricReady per measured value.
void emit_metrics(RunContext& context, const EvalReport& report);

/// Turns whatever was thrown (inside a catch block) into error code and text. LibTorch's errors lose their
/// backtrace; out of memory becomes OutOfMemory.
Error current_error();

} // namespace bitsmith
