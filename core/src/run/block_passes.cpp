// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/block_passes.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith {

namespace {

/// Positions whose logits exist at one time.
constexpr int64_t kPositionsPerChunk = 64;

} // namespace

std::vector<at::Tensor> block_inputs(RunContext& context, const model::CausalLm& model,
    const at::Tensor& ids, const model::BlockShared& shared, const eval::BlockProvider& blocks)
{
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> hidden{model.embed(ids)};
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        context.checkpoint();
        hidden.push_back(blocks(i)->forward(hidden.back(), shared));
    }
    return hidden;
}

at::Tensor backward_through(const model::DecoderBlock& block, const model::BlockShared& shared,
    const at::Tensor& input, const at::Tensor& gradient)
{
    const at::AutoGradMode with_gradients(true);
    const at::Tensor leaf = input.detach().requires_grad_();
    block.forward(leaf, shared).backward(gradient);
    return leaf.grad();
}

double sum_over_positions(const at::Tensor& hidden, const PositionLoss& loss, at::Tensor* gradient)
{
    const at::AutoGradMode with_gradients(gradient != nullptr);
    const at::Tensor flat = hidden.detach().flatten(0, 1);
    std::vector<at::Tensor> gradients;
    double sum = 0;
    for (int64_t first = 0; first < flat.size(0); first += kPositionsPerChunk) {
        const int64_t count = std::min(kPositionsPerChunk, flat.size(0) - first);
        const at::Tensor part =
            flat.narrow(0, first, count).detach().requires_grad_(gradient != nullptr);
        const at::Tensor found = loss(part, first);
        sum += found.item<double>();
        if (gradient != nullptr) {
            found.backward();
            gradients.push_back(part.grad());
        }
    }
    if (gradient != nullptr) {
        *gradient = at::cat(gradients).view(hidden.sizes());
    }
    return sum;
}

} // namespace bitsmith
