// SPDX-License-Identifier: GPL-3.0-or-later
// SignRound as its paper states it: ordinary autograd through the codec's straight-through
// expressions, one leaf per variable. Slow and simple; the fused tuner is measured against it.
#pragma once

#include "base/context.h"
#include "model/decoder_block.h"
#include "quant/codec.h"
#include "quant/group_layout.h"
#include "tune/batch_sampler.h"

#include <bitsmith/plan.h>
#include <bitsmith/recipe.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <deque>

namespace bitsmith::test {

/// Fake-quantizes its layer's weight in every forward.
class ReferenceHook final : public model::LinearHook
{
public:
    ReferenceHook(const model::Linear& linear, const Scheme& scheme)
        : scheme(scheme)
    {
        const quant::GroupLayout layout(scheme, linear.weight.size(0), linear.weight.size(1));
        const at::TensorOptions options = linear.weight.options();
        tuned.v = at::zeros({layout.group_rows, layout.groups, layout.width}, options);
        tuned.min_scale = at::ones({layout.group_rows, layout.groups}, options);
        tuned.max_scale = at::ones({layout.group_rows, layout.groups}, options);
        for (at::Tensor* leaf : leaves()) {
            leaf->requires_grad_();
        }
    }
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override
    {
        return linear.product(
            x, quant::codec_for(scheme).fake_quantize(linear.weight, scheme, tuned));
    }
    std::array<at::Tensor*, 3> leaves() { return {&tuned.v, &tuned.min_scale, &tuned.max_scale}; }

    Scheme scheme;
    quant::TunedValues tuned;
};

/// Mean squared error without the largest `outliers` of the elements of each sample, at least one
/// when that is not 0; by sorting all of them.
inline at::Tensor reference_loss(
    const at::Tensor& output, const at::Tensor& target, double outliers)
{
    if (outliers == 0) {
        return at::mse_loss(output, target);
    }
    const at::Tensor squares = (output - target).square().flatten(1);
    const int64_t count = squares.size(1);
    const int64_t left_out =
        std::max<int64_t>(1, static_cast<int64_t>(outliers * static_cast<double>(count)));
    const at::Tensor sorted = std::get<0>(squares.detach().sort(1));
    const at::Tensor bound = sorted.narrow(1, count - 1 - left_out, 1);
    return (squares * (squares.detach() <= bound)).mean();
}

/// Codes after the last step for every planned layer, in execution order. The recipe's outliers are
/// left out, other positions count alike; lr = 1 / iters for all variables.
inline std::vector<quant::QuantizedWeight> reference_tune(RunContext& context,
    model::DecoderBlock& block, const model::BlockShared& shared, const at::Tensor& inputs,
    const Plan& plan, const Recipe& recipe)
{
    at::Tensor targets;
    {
        const at::NoGradGuard no_grad;
        targets = block.forward(inputs, shared);
    }
    std::deque<ReferenceHook> hooks;
    std::deque<model::LinearHookScope> scopes;
    std::vector<model::Linear*> linears;
    for (const model::BlockLinear& entry : block.linears()) {
        hooks.emplace_back(*entry.linear, plan.find(entry.linear->name)->scheme);
        scopes.emplace_back(*entry.linear, hooks.back());
        linears.push_back(entry.linear);
    }
    tune::BatchSampler sampler(
        tune::own_shuffle(context.random("batches", static_cast<uint64_t>(block.index))),
        inputs.size(0), std::min(inputs.size(0), recipe.batch_size));
    for (int64_t i = 0; i < recipe.iters; ++i) {
        const at::Tensor samples = at::tensor(sampler.next(), at::kLong);
        const at::Tensor output = block.forward(inputs.index_select(0, samples), shared);
        reference_loss(output, targets.index_select(0, samples), recipe.outlier_fraction)
            .backward();
        const double lr = (1.0 - static_cast<double>(i) / static_cast<double>(recipe.iters))
            / static_cast<double>(recipe.iters);
        const at::NoGradGuard no_grad;
        for (ReferenceHook& hook : hooks) {
            for (at::Tensor* leaf : hook.leaves()) {
                leaf->sub_(leaf->grad().sign(), lr);
                leaf->mutable_grad().zero_();
            }
            hook.tuned.min_scale.clamp_(0, 1);
            hook.tuned.max_scale.clamp_(0, 1);
        }
    }
    const at::NoGradGuard no_grad;
    std::vector<quant::QuantizedWeight> codes;
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        codes.push_back(quant::codec_for(hooks[i].scheme)
                            .encode(linears[i]->weight, hooks[i].scheme, hooks[i].tuned));
    }
    return codes;
}

} // namespace bitsmith::test
