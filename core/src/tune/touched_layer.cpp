// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/touched_layer.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace bitsmith::tune {

TouchedLayer::TouchedLayer(const quant::QuantizedWeight& weight)
    : scheme_(weight.scheme)
    , start_(weight.scales.to(at::kFloat))
    , factors_(at::ones_like(start_))
    , gradient_(at::zeros_like(start_))
    , first_(at::zeros_like(start_))
    , second_(at::zeros_like(start_))
{
    BITSMITH_ASSERT(scheme_.data_type == DataType::Int);
    if (scheme_.group_size == kGroupPerTensor) {
        scheme_.group_size = kGroupPerRow;
    }
}

at::Tensor TouchedLayer::scales() const
{
    return (start_ * factors_).to(at::kHalf);
}

quant::QuantizedWeight TouchedLayer::apply(quant::QuantizedWeight weight) const
{
    weight.scales = scales();
    return weight;
}

void TouchedLayer::add_gradient(const at::Tensor& gradient, const at::Tensor& values)
{
    const at::NoGradGuard no_grad;
    const quant::GroupLayout layout(scheme_, values.size(0), values.size(1));
    const at::Tensor product = gradient.to(at::kCPU, at::kFloat) * values.to(at::kCPU, at::kFloat);
    gradient_.add_(layout.split(product).sum(-1) / factors_);
}

void TouchedLayer::step(double rate, int64_t time)
{
    constexpr double b1 = 0.9, b2 = 0.95, epsilon = 1e-8;
    const at::NoGradGuard no_grad;
    first_.mul_(b1).add_(gradient_, 1 - b1);
    second_.mul_(b2).addcmul_(gradient_, gradient_, 1 - b2);
    // Gradients of a mean over thousands of tokens are tiny; epsilon must not swallow them.
    const at::Tensor mean = first_ / (1 - std::pow(b1, time));
    const at::Tensor root = (second_ / (1 - std::pow(b2, time))).sqrt_();
    const double floor = epsilon * std::max(root.mean().item<double>(), 1e-30);
    factors_.addcdiv_(mean, root.add_(floor), -rate).clamp_(0.5, 2.0);
    gradient_.zero_();
}

} // namespace bitsmith::tune
