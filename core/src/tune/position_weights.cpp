// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/position_weights.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

at::Tensor position_weights(const at::Tensor& outputs, const at::Tensor& mask, Objective objective)
{
    if (objective == Objective::Mse) {
        return mask;
    }
    const at::NoGradGuard no_grad;
    at::Tensor weights = at::empty({outputs.size(0), outputs.size(1)}, at::kFloat);
    // One sample at a time: a copy of all outputs in fp32 would be as large as the activations.
    for (int64_t i = 0; i < outputs.size(0); ++i) {
        const at::Tensor sample = outputs[i].to(at::kFloat);
        weights[i].copy_(sample.square().mean(-1).clamp_min(1e-30).reciprocal());
    }
    if (mask.defined()) {
        weights.mul_(mask.to(weights.device()));
    }
    const double counted =
        mask.defined() ? mask.sum().item<double>() : static_cast<double>(weights.numel());
    const double sum = weights.sum(at::kDouble).item<double>();
    return sum > 0 ? weights.mul_(counted / sum) : mask;
}

} // namespace bitsmith::tune
