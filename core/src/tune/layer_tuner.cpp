// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/layer_tuner.h"

#include "tune/layer_errors.h"
#include "tune/quantized_linear.h"
#include "tune/rtn.h"
#include "tune/tuning_loop.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitsmith::tune {

namespace {

/// What the quantized layer will see.
const at::Tensor& chain_of(const BlockInputs& inputs, const Recipe& recipe)
{
    return recipe.enable_quanted_input && inputs.quantized.defined() ? inputs.quantized
                                                                     : inputs.reference;
}

/// Σ x² per channel of inputs [samples, tokens, in]; undefined without inputs.
at::Tensor importance_of(const at::Tensor& inputs)
{
    at::Tensor sums;
    for (int64_t i = 0; inputs.defined() && i < inputs.size(0); ++i) {
        const at::Tensor sample = inputs[i].to(at::kFloat).square().sum(0);
        sums = sums.defined() ? sums + sample : sample;
    }
    return sums;
}

quant::QuantizedWeight tuned_codes(RunContext& context, model::Linear& linear,
    const BlockInputs& inputs, const Scheme& scheme, const Recipe& recipe,
    const quant::TunedValues& start, std::string& deviation)
{
    const at::Tensor original = linear.weight;
    const c10::Device device = original.device();
    FusedWeight weight(linear, scheme, start);
    const model::LinearHookScope hook(linear, weight);
    TuningTask task;
    task.weights = {&weight};
    task.forward = [&](const at::Tensor& hidden) { return linear.forward(hidden); };
    task.target = [&](const at::Tensor& samples) {
        const at::NoGradGuard no_grad;
        const at::Tensor hidden =
            inputs.reference.index_select(0, samples.to(inputs.reference.device()));
        return linear.product(hidden.to(device), original);
    };
    task.inputs = chain_of(inputs, recipe);
    task.position_weights = inputs.mask;
    task.holdout = inputs.holdout;
    task.global_batch = std::max<int64_t>(1, recipe.batch_size)
        * std::max<int64_t>(1, recipe.gradient_accumulate_steps);
    task.device = device;
    deviation = run_tuning(context, task, recipe).deviation;
    return weight.tuned().freeze();
}

void measure_outputs(model::Linear& linear, const at::Tensor& original, const at::Tensor& inputs,
    LayerFinished& errors)
{
    const at::NoGradGuard no_grad;
    OutputErrorHook statistics(original);
    const model::LinearHookScope hook(linear, statistics);
    const at::Tensor tokens = inputs.flatten(0, -2);
    const int64_t count = std::min(OutputErrorHook::kTokens, tokens.size(0));
    linear.forward(tokens.narrow(0, 0, count).to(linear.weight.device()));
    statistics.report(errors);
}

} // namespace

FinishedLayer tune_layer(RunContext& context, model::Linear& linear, const BlockInputs& inputs,
    const PlannedLayer& planned, const Recipe& recipe)
{
    BITSMITH_ASSERT(planned.scheme.is_quantized());
    const PlannedLinear layer{&linear, &planned, {}};
    const at::Tensor original = linear.weight;
    const bool has_samples =
        inputs.reference.defined() && inputs.reference.size(0) > inputs.holdout;
    if (recipe.iters > 0 && inputs.reference.defined() && !has_samples) {
        fail(ErrorCode::InvalidSpec, "there are no samples to tune on",
            {{"field", "recipe.nsamples"}});
    }
    LayerStatistics statistics;
    const at::Tensor known = known_importance(inputs, linear.name);
    statistics.importance = known.defined() ? known : importance_of(chain_of(inputs, recipe));
    if (planned.scheme.needs_input_max() && inputs.reference.defined()) {
        statistics.input_max = chain_of(inputs, recipe).abs().amax().to(at::kFloat).reshape({1});
    }
    const quant::TunedValues start = start_values(layer, recipe, statistics);
    set_activations(linear, planned.scheme, statistics.input_max);
    std::string deviation;
    FinishedLayer finished = recipe.iters > 0 && has_samples
        ? finish_layer(layer, original,
            tuned_codes(context, linear, inputs, planned.scheme, recipe, start, deviation))
        : round_layer(layer, start);
    finished.errors.deviation = deviation;
    if (inputs.reference.defined()) {
        measure_outputs(linear, original, chain_of(inputs, recipe), finished.errors);
    }
    report_layer(context, finished);
    return finished;
}

} // namespace bitsmith::tune
