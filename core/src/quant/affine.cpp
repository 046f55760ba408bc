// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/affine.h"

#include "quant/rounding.h"
#include "quant/row_slices.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace bitsmith::quant {

namespace {

constexpr double kHalfMax = 65504.0;

AffineParameters symmetric(const at::Tensor& low, const at::Tensor& high, int64_t bits)
{
    const double half = std::ldexp(1.0, static_cast<int>(bits) - 1);
    const at::Tensor below = -low;
    const at::Tensor sign = at::where(high < below, 1.0, -1.0).to(low.scalar_type());
    const at::Tensor largest = sign * at::maximum(below, high);
    AffineParameters parameters;
    parameters.scale = apart_from_zero(half_ste(largest / half), kScaleThreshold);
    parameters.zero = at::full_like(parameters.scale.detach(), half);
    return parameters;
}

at::Tensor positive_scale(const at::Tensor& low, const at::Tensor& high, int64_t bits)
{
    const double levels = std::ldexp(1.0, static_cast<int>(bits)) - 1;
    return apart_from_zero(half_ste((high - low) / levels), kScaleThreshold);
}

struct Grouped
{
    GroupLayout layout;
    AffineParameters parameters;
    at::Tensor codes; ///< floating point [group_rows, groups, width]
};

Grouped quantize_groups(const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned)
{
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    const at::Tensor grouped = layout.split(weight);
    const GroupRange range = tuned.range.min.defined() ? tuned.range : group_range(grouped);
    AffineParameters parameters = affine_parameters(range, scheme, tuned);
    at::Tensor codes = affine_codes(grouped, parameters, tuned.v, scheme.bits);
    return {layout, std::move(parameters), std::move(codes)};
}

} // namespace

bool is_affine(const Scheme& scheme)
{
    return scheme.data_type == DataType::Int || scheme.data_type == DataType::IntFloatZero;
}

Affine affine_kind(const Scheme& scheme)
{
    if (scheme.data_type == DataType::IntFloatZero) {
        return Affine::FloatMinimum;
    }
    return scheme.sym ? Affine::Symmetric : Affine::Asymmetric;
}

AffineParameters affine_parameters(
    const GroupRange& range, const Scheme& scheme, const TunedValues& tuned)
{
    const auto factored = [&tuned](const at::Tensor& end, const at::Tensor& factor) {
        return factor.defined() ? end * clamp_ste(factor, 0, tuned.largest_factor()) : end;
    };
    const at::Tensor low = factored(range.min, tuned.min_scale);
    const at::Tensor high = factored(range.max, tuned.max_scale);
    const Affine kind = affine_kind(scheme);
    if (kind == Affine::Symmetric) {
        return symmetric(low, high, scheme.bits);
    }
    AffineParameters parameters;
    parameters.scale = positive_scale(low, high, scheme.bits);
    if (kind == Affine::FloatMinimum) {
        // Adding zero turns -0 into 0; otherwise the sign of a zero would differ after storage.
        parameters.minimum = half_ste(low) + 0.0;
        return parameters;
    }
    // A scale that fp16 rounded down can push the quotient just past the last code.
    const double last = std::ldexp(1.0, static_cast<int>(scheme.bits)) - 1;
    parameters.zero = clamp_ste(round_ste(-low / parameters.scale), 0, last);
    return parameters;
}

at::Tensor affine_steps(const at::Tensor& grouped, const AffineParameters& parameters)
{
    const at::Tensor shifted =
        parameters.minimum.defined() ? grouped - parameters.minimum.unsqueeze(-1) : grouped;
    return shifted / parameters.scale.unsqueeze(-1);
}

at::Tensor affine_codes(const at::Tensor& grouped, const AffineParameters& parameters,
    const at::Tensor& v, int64_t bits)
{
    at::Tensor steps = affine_steps(grouped, parameters);
    if (v.defined()) {
        steps = steps + v;
    }
    at::Tensor codes = round_ste(steps);
    if (parameters.zero.defined()) {
        codes = codes + parameters.zero.unsqueeze(-1);
    }
    return clamp_inside(codes, 0, std::ldexp(1.0, static_cast<int>(bits)) - 1);
}

at::Tensor affine_values(const at::Tensor& codes, const AffineParameters& parameters)
{
    const at::Tensor scale = parameters.scale.unsqueeze(-1);
    return parameters.minimum.defined() ? codes * scale + parameters.minimum.unsqueeze(-1)
                                        : (codes - parameters.zero.unsqueeze(-1)) * scale;
}

void check_weight(const at::Tensor& weight, const Scheme& scheme, std::string_view layer)
{
    const at::NoGradGuard no_grad;
    Error::Context context;
    if (!layer.empty()) {
        context.emplace_back("layer", layer);
    }
    const auto [lowest, highest] = weight.aminmax(); // one pass, and lets NaN through
    const double low = std::min(lowest.item<double>(), 0.0);
    const double high = std::max(highest.item<double>(), 0.0);
    if (!std::isfinite(lowest.item<double>()) || !std::isfinite(highest.item<double>())) {
        const int64_t not_finite = at::isfinite(weight).logical_not_().sum().item<int64_t>();
        context.emplace_back("found",
            std::to_string(not_finite) + " of " + std::to_string(weight.numel()) + " values");
        fail(ErrorCode::NumericFailure, "the weight has values that are not finite",
            std::move(context), "check the model's files, or keep this layer at 16 bits");
    }
    if (!is_affine(scheme)) {
        return;
    }
    const double levels = std::ldexp(1.0, static_cast<int>(scheme.bits)) - 1;
    double largest = (high - low) / levels;
    if (affine_kind(scheme) == Affine::Symmetric) {
        largest = std::max(high, -low) * 2 / (levels + 1);
    } else if (affine_kind(scheme) == Affine::FloatMinimum) {
        largest = std::max(largest, -low);
    }
    if (largest > kHalfMax) {
        context.emplace_back("found", std::to_string(largest));
        context.emplace_back("allowed", "up to 65504");
        fail(ErrorCode::NumericFailure, "the weight is too large for fp16 scales",
            std::move(context), "keep this layer at 16 bits");
    }
}

std::string affine_refusal(const Scheme& scheme)
{
    if (scheme.bits < 2 || scheme.bits > 8) {
        return "integer codes have 2 to 8 bits, not " + std::to_string(scheme.bits);
    }
    if (scheme.group_size < kGroupPerRow) {
        return "group size " + std::to_string(scheme.group_size) + " has no meaning";
    }
    if (scheme.group_rows != 1) {
        return "integer codes have scales per row, not per tile";
    }
    if (scheme.super_bits != 0 || scheme.super_group_size != 0) {
        return "integer codes with one scale per group have no super-blocks";
    }
    return {};
}

at::Tensor affine_fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned)
{
    check_shapes(weight, scheme, tuned);
    const Grouped result = quantize_groups(weight, scheme, tuned);
    return result.layout.join(affine_values(result.codes, result.parameters));
}

QuantizedWeight affine_encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned)
{
    const at::NoGradGuard no_grad;
    check_shapes(weight, scheme, tuned);
    check_weight(weight, scheme, {});
    return encode_by_rows(
        weight, scheme, tuned, [&scheme](const at::Tensor& rows, const TunedValues& values) {
            const Grouped part = quantize_groups(rows, scheme, values);
            const AffineParameters& p = part.parameters;
            QuantizedWeight result;
            result.scheme = scheme;
            result.input_max = values.input_max;
            result.codes = part.layout.join(part.codes.to(at::kByte));
            result.scales = part.layout.per_row(p.scale).to(at::kHalf);
            result.zeros = p.minimum.defined() ? part.layout.per_row(p.minimum).to(at::kHalf)
                                               : part.layout.per_row(p.zero).to(at::kByte);
            return result;
        });
}

at::Tensor affine_decode(const QuantizedWeight& weight)
{
    const at::NoGradGuard no_grad;
    const bool has_minimum = affine_kind(weight.scheme) == Affine::FloatMinimum;
    // Stored scales stand once per row also for one group per tensor.
    Scheme by_row = weight.scheme;
    if (by_row.group_size == kGroupPerTensor) {
        by_row.group_size = kGroupPerRow;
    }
    const GroupLayout layout(by_row, weight.rows(), weight.columns());
    const at::Tensor second = weight.zeros.to(at::kFloat);
    const AffineParameters parameters{weight.scales.to(at::kFloat),
        has_minimum ? at::Tensor() : second, has_minimum ? second : at::Tensor()};
    return layout.join(affine_values(layout.split(weight.codes.to(at::kFloat)), parameters));
}

} // namespace bitsmith::quant
