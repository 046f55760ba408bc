// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/touched_layer.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace bitsmith::tune {

namespace {

/// Of numbers in codes, which have few bits; steps are small against no others.
double spacing_of(const quant::TunablePart& part)
{
    return part.numbers == nullptr
        ? 0
        : std::ldexp(1.0, -static_cast<int>(part.numbers->mantissa_bits));
}

/// The layout of a CodeGrid: groups in a row, tiles and the tensor as one per row that they reach.
Scheme scheme_of_rows(Scheme scheme)
{
    scheme.group_rows = 1;
    if (scheme.group_size == kGroupPerTensor) {
        scheme.group_size = kGroupPerRow;
    }
    return scheme;
}

/// `x` [rows, groups in a row] summed over what one number of a part of these sizes reaches: a
/// group, a super-block, a tile of `tile_rows` rows, or everything.
at::Tensor sum_to(const at::Tensor& x, at::IntArrayRef sizes, int64_t tile_rows)
{
    const int64_t height = sizes[0] == 1 ? x.size(0) : tile_rows;
    const at::Tensor filled = at::constant_pad_nd(x, {0, 0, 0, sizes[0] * height - x.size(0)});
    return filled.reshape({sizes[0], height, sizes[1], -1}).sum({1, 3});
}

} // namespace

Factors::Factors(at::IntArrayRef sizes, double spacing)
    : spacing_(spacing)
    , values_(at::ones(sizes, at::kFloat))
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

TouchedPart::TouchedPart(const quant::TunablePart& part, const quant::QuantizedWeight& weight)
    : part_(part)
    , type_((weight.*part.part.tensor).scalar_type())
    , start_(part.numbers != nullptr ? part.numbers->values(weight.*part.part.tensor)
                                     : (weight.*part.part.tensor).to(at::kFloat))
    , factors_(start_.sizes(), spacing_of(part))
{ }

at::Tensor TouchedPart::stored() const
{
    const at::Tensor touched = start_ * factors_.values();
    return part_.numbers == nullptr
        ? touched.to(type_)
        : part_.numbers->codes(part_.numbers->round(touched, {}, false));
}

TouchedLayer::TouchedLayer(const quant::QuantizedWeight& weight)
    : frame_(weight)
{
    frame_.codes = at::zeros({1, 1}, at::kByte).expand({weight.rows(), weight.columns()});
    for (const quant::TunablePart& part :
        quant::codec_for(weight.scheme).tunable_parts(weight.scheme)) {
        parts_.emplace_back(part, weight);
    }
    BITSMITH_ASSERT(!parts_.empty());
}

quant::QuantizedWeight TouchedLayer::apply(quant::QuantizedWeight weight) const
{
    for (const TouchedPart& part : parts_) {
        weight.*part.part().part.tensor = part.stored();
    }
    return weight;
}

void TouchedLayer::add_gradient(const at::Tensor& gradient, const at::Tensor& values)
{
    const at::NoGradGuard no_grad;
    const quant::GroupLayout layout(scheme_of_rows(frame_.scheme), values.size(0), values.size(1));
    const at::Tensor grouped = layout.split(gradient.to(at::kCPU, at::kFloat));
    const at::Tensor minimum = quant::codec_for(frame_.scheme).code_grid(apply(frame_)).minimum;
    at::Tensor scaled = (grouped * layout.split(values.to(at::kCPU, at::kFloat))).sum(-1), offset;
    if (minimum.defined()) {
        offset = grouped.sum(-1) * minimum;
        scaled = scaled - offset;
    }
    for (TouchedPart& part : parts_) {
        Factors& factors = part.factors();
        const at::Tensor sum = sum_to(part.part().is_minimum ? offset : scaled,
            factors.values().sizes(), frame_.scheme.group_rows);
        factors.add_gradient(sum / factors.values());
    }
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
