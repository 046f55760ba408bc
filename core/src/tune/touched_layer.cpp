// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/touched_layer.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace bitsmith::tune {

Factors::Factors(at::IntArrayRef sizes)
    : values_(at::ones(sizes, at::kFloat))
    , gradient_(at::zeros(sizes, at::kFloat))
    , first_(at::zeros(sizes, at::kFloat))
    , second_(at::zeros(sizes, at::kFloat))
{ }

void Factors::step(double rate, int64_t time)
{
    constexpr double b1 = 0.9, b2 = 0.95, epsilon = 1e-8;
    const at::NoGradGuard no_grad;
    const auto steps = static_cast<double>(time);
    first_.mul_(b1).add_(gradient_, 1 - b1);
    second_.mul_(b2).addcmul_(gradient_, gradient_, 1 - b2);
    // Gradients of a mean over thousands of tokens are tiny; epsilon must not swallow them.
    const at::Tensor mean = first_ / (1 - std::pow(b1, steps));
    const at::Tensor root = (second_ / (1 - std::pow(b2, steps))).sqrt_();
    const double floor = epsilon * std::max(root.mean().item<double>(), 1e-30);
    values_.addcdiv_(mean, root.add_(floor), -rate).clamp_(0.5, 2.0);
    gradient_.zero_();
}

TouchedLayer::TouchedLayer(const quant::QuantizedWeight& weight)
    : scheme_(weight.scheme)
    , start_(weight.scales.to(at::kFloat))
    , factors_(start_.sizes())
{
    BITSMITH_ASSERT(scheme_.data_type == DataType::Int);
    if (scheme_.group_size == kGroupPerTensor) {
        scheme_.group_size = kGroupPerRow;
    }
}

at::Tensor TouchedLayer::scales() const
{
    return (start_ * factors_.values()).to(at::kHalf);
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
    factors_.add_gradient(layout.split(product).sum(-1) / factors_.values());
}

TouchedNorm::TouchedNorm(const at::Tensor& weight, double offset, at::ScalarType stored)
    : start_(weight.detach().to(at::kCPU, at::kFloat))
    , offset_(offset)
    , type_(stored)
    , factors_(start_.sizes())
{ }

at::Tensor TouchedNorm::stored() const
{
    return (start_ * factors_.values() - offset_).to(type_);
}

at::Tensor TouchedNorm::weight() const
{
    return stored().to(at::kFloat) + offset_;
}

void TouchedNorm::add_gradient(const at::Tensor& gradient)
{
    const at::NoGradGuard no_grad;
    factors_.add_gradient(gradient.to(at::kCPU, at::kFloat) * start_);
}

} // namespace bitsmith::tune
