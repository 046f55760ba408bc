// SPDX-License-Identifier: GPL-3.0-or-later
// The order of fp32 operations follows models.md 1.9 literally: frequencies that differ in the last
// bit turn visibly at large positions.
#include "model/rope.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace bitsmith::model {

namespace {

at::Tensor plain_frequencies(double theta, int64_t dim)
{
    const at::Tensor exponents = at::arange(0, dim, 2, at::kLong).to(at::kFloat) / double(dim);
    return at::pow(at::Scalar(theta), exponents).reciprocal();
}

at::Tensor llama3_frequencies(const RotarySpec& spec, int64_t dim)
{
    const at::Tensor f = plain_frequencies(spec.theta, dim);
    const auto original = static_cast<double>(spec.original_length);
    const at::Tensor wavelength = (2 * std::numbers::pi) / f;
    const at::Tensor g = (original / wavelength - spec.low_freq) / (spec.high_freq - spec.low_freq);
    const at::Tensor between = (1 - g) * f / spec.factor + g * f;
    const at::Tensor slow =
        at::where(wavelength > original / spec.low_freq, f / spec.factor, between);
    return at::where(wavelength < original / spec.high_freq, f, slow);
}

RotaryFrequencies yarn_frequencies(const RotarySpec& spec, int64_t dim)
{
    const double ratio = length_ratio(spec);
    double factor = yarn_mscale(ratio);
    if (spec.attention_factor) {
        factor = *spec.attention_factor;
    } else if (spec.mscale.value_or(0) != 0 && spec.mscale_all_dim.value_or(0) != 0) {
        factor = yarn_mscale(ratio, *spec.mscale) / yarn_mscale(ratio, *spec.mscale_all_dim);
    }
    const auto correction = [&](double beta) {
        const auto original = static_cast<double>(spec.original_length);
        return static_cast<double>(dim) * std::log(original / (beta * 2 * std::numbers::pi))
            / (2 * std::log(spec.theta));
    };
    double low = correction(spec.beta_fast), high = correction(spec.beta_slow);
    if (spec.truncate) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, static_cast<double>(dim - 1));
    if (low == high) {
        high += 0.001;
    }
    const at::Tensor ramp =
        ((at::arange(dim / 2, at::kLong).to(at::kFloat) - low) / (high - low)).clamp(0, 1);
    const at::Tensor f = plain_frequencies(spec.theta, dim);
    return {f / ratio * ramp + f * (1 - ramp), factor};
}

RotaryFrequencies longrope_frequencies(const RotarySpec& spec, int64_t dim, int64_t length)
{
    const std::vector<double>& list =
        length > spec.original_length ? spec.long_factor : spec.short_factor;
    if (static_cast<int64_t>(list.size()) != dim / 2) {
        fail(ErrorCode::InvalidSpec, "longrope has the wrong number of factors",
            {{"field", "short_factor/long_factor"}, {"found", std::to_string(list.size())},
                {"allowed", std::to_string(dim / 2)}});
    }
    double factor = 1;
    const double ratio = length_ratio(spec);
    if (spec.attention_factor) {
        factor = *spec.attention_factor;
    } else if (ratio > 1) {
        factor =
            std::sqrt(1 + std::log(ratio) / std::log(static_cast<double>(spec.original_length)));
    }
    const at::Tensor extension = at::tensor(list, at::kDouble).to(at::kFloat);
    return {plain_frequencies(spec.theta, dim) / extension, factor};
}

double dynamic_theta(const RotarySpec& spec, int64_t dim, int64_t length)
{
    if (length <= spec.max_length) {
        return spec.theta;
    }
    const double stretch =
        spec.factor * static_cast<double>(length) / static_cast<double>(spec.max_length)
        - (spec.factor - 1);
    return spec.theta * std::pow(stretch, static_cast<double>(dim) / static_cast<double>(dim - 2));
}

} // namespace

double length_ratio(const RotarySpec& spec)
{
    return spec.has_factor
        ? spec.factor
        : static_cast<double>(spec.max_length) / static_cast<double>(spec.original_length);
}

double yarn_mscale(double ratio, double mscale)
{
    return ratio <= 1 ? 1.0 : 0.1 * mscale * std::log(ratio) + 1.0;
}

int64_t rotary_dim(const RotarySpec& spec, int64_t head_dim)
{
    const auto dim = static_cast<int64_t>(static_cast<double>(head_dim) * spec.partial);
    if (dim < 2 || dim > head_dim || dim % 2 != 0) {
        fail(ErrorCode::InvalidSpec, "the rotary part of a head must be even and fit into the head",
            {{"field", "partial_rotary_factor"}, {"found", std::to_string(dim)},
                {"allowed", "2.." + std::to_string(head_dim)}});
    }
    return dim;
}

RotaryFrequencies rotary_frequencies(const RotarySpec& spec, int64_t head_dim, int64_t length)
{
    const int64_t dim = rotary_dim(spec, head_dim);
    switch (spec.kind) {
    case RotaryKind::Default:
        return {plain_frequencies(spec.theta, dim), 1};
    case RotaryKind::Linear:
        return {plain_frequencies(spec.theta, dim) / spec.factor, 1};
    case RotaryKind::Dynamic:
        return {plain_frequencies(dynamic_theta(spec, dim, length), dim), 1};
    case RotaryKind::Llama3:
        return {llama3_frequencies(spec, dim), 1};
    case RotaryKind::Yarn:
        return yarn_frequencies(spec, dim);
    case RotaryKind::LongRope:
        return longrope_frequencies(spec, dim, length);
    case RotaryKind::None:
    case RotaryKind::DynamicAlpha:
    case RotaryKind::LongRopeFixedShort:
    case RotaryKind::Proportional:
        break;
    }
    fail(ErrorCode::UnsupportedModel, "this rotary scaling is not implemented",
        {{"field", "rope_type"}, {"found", std::to_string(static_cast<int>(spec.kind))}});
}

RotaryTable build_rotary_table(const RotarySpec& spec, int64_t head_dim, int64_t tokens,
    int64_t past, const at::TensorOptions& options)
{
    const auto [inverse, factor] = rotary_frequencies(spec, head_dim, past + tokens);
    const at::Tensor positions = at::arange(past, past + tokens, at::kLong).to(at::kFloat);
    const at::Tensor angles = positions.unsqueeze(1) * inverse.unsqueeze(0);
    const at::Tensor both = at::cat({angles, angles}, -1);
    return {(both.cos() * factor).to(options), (both.sin() * factor).to(options)};
}

at::Tensor apply_rotary(const at::Tensor& x, const RotaryTable& table)
{
    const int64_t dim = table.cos.size(-1);
    const bool partial = dim < x.size(-1);
    const at::Tensor turning = partial ? x.narrow(-1, 0, dim) : x;
    const at::Tensor first = turning.narrow(-1, 0, dim / 2);
    const at::Tensor second = turning.narrow(-1, dim / 2, dim / 2);
    const at::Tensor across = at::cat({second.neg(), first}, -1);
    const at::Tensor turned = turning * table.cos + across * table.sin;
    return partial ? at::cat({turned, x.narrow(-1, dim, x.size(-1) - dim)}, -1) : turned;
}

} // namespace bitsmith::model
