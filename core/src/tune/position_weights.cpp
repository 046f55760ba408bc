// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/position_weights.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace bitsmith::tune {

namespace {

/// What a position counts at most, as a multiple of the mean before that bound.
constexpr double kLargestWeight = 20;

double checked_mean(double mean, const std::string& name)
{
    if (!(std::isfinite(mean) && mean > 0)) {
        fail(ErrorCode::NumericFailure, "the gradients of a block's outputs are zero or not finite",
            {{"block", name}, {"mean square", std::to_string(mean)}},
            "Use --objective inverse-norm");
    }
    return mean;
}

} // namespace

at::Tensor position_weights(const at::Tensor& outputs, const at::Tensor& mask, Objective objective)
{
    if (objective == Objective::Mse) {
        return mask;
    }
    BITSMITH_ASSERT(objective == Objective::InverseNorm);
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

at::Tensor fisher_positions(
    const at::Tensor& squares, const at::Tensor& mask, const std::string& name)
{
    const at::NoGradGuard no_grad;
    const at::Tensor counted = squares * mask;
    const double mean =
        checked_mean(counted.sum(at::kDouble).item<double>() / mask.sum().item<double>(), name);
    return counted.to(at::kDouble).div_(mean).clamp_max_(kLargestWeight).to(at::kFloat);
}

at::Tensor fisher_channels(const at::Tensor& squares, const std::string& name)
{
    const at::NoGradGuard no_grad;
    const at::Tensor wide = squares.to(at::kDouble);
    return (wide / checked_mean(wide.mean().item<double>(), name)).to(at::kFloat);
}

} // namespace bitsmith::tune
