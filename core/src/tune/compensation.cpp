// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/compensation.h"

#include "quant/affine.h"
#include "quant/compensated.h"
#include "quant/range_search.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <deque>

namespace bitsmith::tune {

namespace {

/// Share of the earlier error that a layer makes up for; 1 overshoots (lab.md 7.3).
constexpr double kCorrection = 0.5;

/// Computes with a given weight and keeps the inputs.
class InputHook final : public model::LinearHook
{
public:
    explicit InputHook(at::Tensor weight)
        : weight_(std::move(weight))
    { }
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override
    {
        inputs = x.flatten(0, -2);
        return linear.product(x, weight_);
    }

    at::Tensor inputs; ///< [tokens, in] of the last forward; undefined when it saw none

private:
    at::Tensor weight_;
};

/// Moments of the inputs of one unit, batch by batch.
class MomentSums
{
public:
    void add(const at::Tensor& original, const at::Tensor& quantized, const at::Tensor& weights)
    {
        const at::Tensor seen = quantized.to(at::kFloat);
        const bool is_weighted = weights.defined() && weights.numel() == seen.size(0);
        const at::Tensor weighted =
            is_weighted ? seen * weights.to(seen.device(), at::kFloat).reshape({-1, 1}) : seen;
        accumulate(moments_.hessian, seen, weighted);
        // Experts may see other tokens on the two paths; then there is nothing to compare.
        if (original.defined() && original.sizes() == seen.sizes()) {
            accumulate(moments_.drift, original.to(at::kFloat) - seen, weighted);
        }
    }
    const quant::InputMoments& moments() const { return moments_; }

private:
    static void accumulate(at::Tensor& sum, const at::Tensor& left, const at::Tensor& right)
    {
        if (sum.defined()) {
            sum.addmm_(left.t(), right);
        } else {
            sum = at::mm(left.t(), right);
        }
    }
    quant::InputMoments moments_;
};

/// Layers of one unit.
struct Stage
{
    std::vector<std::size_t> layers;
};

std::vector<Stage> stages_of(const std::vector<PlannedLinear>& layers)
{
    std::vector<Stage> stages;
    std::string unit;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const std::string& own = layers[i].unit;
        if (stages.empty() || own.empty() || own != unit) {
            stages.emplace_back();
        }
        unit = own;
        stages.back().layers.push_back(i);
    }
    return stages;
}

bool is_same(const at::Tensor& a, const at::Tensor& b)
{
    return a.defined() && b.defined() && a.const_data_ptr() == b.const_data_ptr()
        && a.sizes() == b.sizes();
}

/// For each of the inputs the first one that is the same tensor.
std::vector<std::size_t> leaders_of(const std::vector<at::Tensor>& inputs)
{
    std::vector<std::size_t> leaders;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
        std::size_t leader = k;
        for (std::size_t i = 0; i < k; ++i) {
            if (is_same(inputs[i], inputs[k])) {
                leader = leaders[i];
                break;
            }
        }
        leaders.push_back(leader);
    }
    return leaders;
}

/// Moments of a stage's layers, from forwards of both paths through the block as it is now.
std::vector<quant::InputMoments> measure(RunContext& context, const CompensationTask& task,
    const std::vector<PlannedLinear>& layers, const std::vector<at::Tensor>& originals,
    const Stage& stage)
{
    std::vector<MomentSums> sums(stage.layers.size());
    std::vector<std::size_t> leaders; // layers with the same inputs share their moments
    const int64_t samples = task.quantized.size(0);
    for (int64_t first = 0; first < samples; first += task.micro_batch) {
        context.checkpoint();
        const int64_t count = std::min(task.micro_batch, samples - first);
        const auto inputs_of = [&](const at::Tensor& chain, bool is_original) {
            std::deque<InputHook> hooks;
            std::deque<model::LinearHookScope> scopes;
            for (std::size_t i = 0; i < layers.size(); ++i) {
                model::Linear& linear = *layers[i].linear;
                hooks.emplace_back(is_original ? originals[i] : linear.weight);
                scopes.emplace_back(linear, hooks.back());
            }
            task.block.forward(chain.narrow(0, first, count).to(task.device), task.shared);
            std::vector<at::Tensor> inputs;
            for (const std::size_t i : stage.layers) {
                inputs.push_back(hooks[i].inputs);
            }
            return inputs;
        };
        const std::vector<at::Tensor> original = inputs_of(task.reference, true);
        const std::vector<at::Tensor> seen = inputs_of(task.quantized, false);
        const at::Tensor weights = task.position_weights.defined()
            ? task.position_weights.narrow(0, first, count).flatten()
            : at::Tensor();
        if (leaders.empty()) {
            leaders = leaders_of(seen);
        }
        for (std::size_t k = 0; k < sums.size(); ++k) {
            if (leaders[k] == k && seen[k].defined()) {
                sums[k].add(original[k], seen[k], weights);
            }
        }
    }
    std::vector<quant::InputMoments> moments;
    for (const std::size_t leader : leaders) {
        moments.push_back(sums[leader].moments());
    }
    return moments;
}

FinishedLayer quantize(const PlannedLinear& layer, const quant::InputMoments& moments)
{
    const Scheme& scheme = layer.planned->scheme;
    const at::Tensor original = layer.linear->weight;
    quant::check_weight(original, scheme, layer.linear->name);
    if (!moments.hessian.defined()) { // an expert that no token reached
        quant::TunedValues start;
        start.range = quant::search_range(original, scheme, {});
        return round_layer(layer, start);
    }
    const at::Tensor target = quant::corrected_weight(original, moments, kCorrection);
    const quant::GroupRange range = quant::search_range(target, scheme, moments.hessian.diagonal());
    return finish_layer(layer, original, quant::compensated_encode(target, scheme, range, moments));
}

} // namespace

std::vector<FinishedLayer> compensate_layers(RunContext& context, const CompensationTask& task,
    const std::vector<PlannedLinear>& layers, std::vector<at::Tensor>& originals)
{
    const at::NoGradGuard no_grad;
    for (const PlannedLinear& layer : layers) {
        originals.push_back(layer.linear->weight);
    }
    std::vector<FinishedLayer> finished;
    for (const Stage& stage : stages_of(layers)) {
        const std::vector<quant::InputMoments> moments =
            measure(context, task, layers, originals, stage);
        for (std::size_t k = 0; k < stage.layers.size(); ++k) {
            context.checkpoint();
            finished.push_back(quantize(layers[stage.layers[k]], moments[k]));
        }
    }
    return finished;
}

} // namespace bitsmith::tune
