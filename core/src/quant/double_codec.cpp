// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/double_codec.h"

#include "base/text.h"
#include "quant/affine.h"
#include "quant/rounding.h"
#include "quant/row_slices.h"
#include "quant/super_search.h"
#include "values/scheme_presets.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

namespace bitsmith::quant {

namespace {

double two_to(int64_t exponent)
{
    return std::ldexp(1.0, static_cast<int>(exponent));
}

/// The code that stands for 0 in symmetric types.
double center_of(const Scheme& scheme)
{
    return scheme.sym ? two_to(scheme.bits - 1) : 0;
}

/// Scales or minima of groups as they are stored.
struct Doubled
{
    at::Tensor super; ///< d [rows, super-blocks], exactly representable in fp16
    at::Tensor codes; ///< L [rows, groups], integers
    at::Tensor values; ///< d·L [rows, groups]; follows the exact numbers with the derivative 1
};

/// Element of largest magnitude along the last dimension, its sign included.
at::Tensor largest_by_magnitude(const at::Tensor& x)
{
    const at::Tensor low = x.amin(-1), high = x.amax(-1);
    return at::where(high < -low, low, high);
}

/// Codes [rows, groups] times the scales of their super-blocks [rows, super-blocks].
at::Tensor times_super(const at::Tensor& codes, const at::Tensor& super)
{
    const at::Tensor blocks = codes.reshape({super.size(0), super.size(1), -1});
    return (blocks * super.unsqueeze(-1)).reshape(codes.sizes());
}

constexpr double kSmallestHalf = 0x1p-24;

/// Nearest fp16 numbers, but for numbers other than 0 never 0: a d of 0 would make zeros of a whole
/// super-block, whose integers L can still hold it (formats.md 6.12).
at::Tensor rounded_super(const at::Tensor& exact)
{
    const at::Tensor rounded = half_ste(exact);
    const at::Tensor vanishes = (rounded == 0).logical_and_(exact != 0);
    return at::where(vanishes, exact.sign() * kSmallestHalf, rounded);
}

/// `exact` [rows, groups] rounded to integers under a scale per super-block.
Doubled doubled(const at::Tensor& exact, const Scheme& scheme)
{
    const double count = two_to(scheme.super_bits);
    const double first = scheme.sym ? -count / 2 : 0, last = first + count - 1;
    const at::Tensor blocks = exact.detach().reshape({exact.size(0), -1, scheme.super_group_size});
    Doubled result;
    // Adding zero turns -0 into 0, here and below: integers do not store it.
    const at::Tensor super =
        rounded_super(scheme.sym ? largest_by_magnitude(blocks) / first : blocks.amax(-1) / last);
    const at::Tensor d = super.unsqueeze(-1);
    const at::Tensor codes = at::where(d == 0, 0.0, at::round(blocks / d).clamp(first, last));
    const at::Tensor is_nothing = (codes == 0).all(-1).logical_and_(super.abs() <= kSmallestHalf);
    result.super = at::where(is_nothing, 0.0, super);
    result.codes = (codes + 0.0).reshape(exact.sizes());
    result.values = pass_gradient(times_super(result.codes, result.super), exact);
    return result;
}

/// Before they become integers.
GroupNumbers group_numbers(const GroupRange& range, const Scheme& scheme, const TunedValues& tuned)
{
    const auto factored = [&tuned](const at::Tensor& end, const at::Tensor& factor) {
        return factor.defined() ? end * clamp_ste(factor, 0, tuned.largest_factor()) : end;
    };
    const at::Tensor below = -factored(range.min, tuned.min_scale);
    const at::Tensor high = factored(range.max, tuned.max_scale);
    if (scheme.sym) {
        const at::Tensor sign = at::where(high < below, 1.0, -1.0).to(below.scalar_type());
        return {sign * at::maximum(below, high) / center_of(scheme), {}};
    }
    // The ends of a searched range may both lie on one side of zero.
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const at::Tensor minimum = clamp_ste(below, 0, kInfinity);
    const double levels = two_to(scheme.bits) - 1;
    return {clamp_ste(high + minimum, 0, kInfinity) / levels, minimum};
}

/// Codes as floating point numbers [rows, groups, width] in [0, 2^bits - 1]. `scale` and `minimum`
/// [rows, groups] as stored, `v` (undefined: 0) of the shape of `grouped`.
at::Tensor codes_of(const at::Tensor& grouped, const at::Tensor& scale, const at::Tensor& minimum,
    const at::Tensor& v, const Scheme& scheme)
{
    const at::Tensor divisor = scale.unsqueeze(-1), is_zero = divisor == 0;
    const at::Tensor shifted = minimum.defined() ? grouped + minimum.unsqueeze(-1) : grouped;
    // Never divided by zero: the derivative of a quotient that is masked later would be NaN.
    at::Tensor steps = shifted / at::where(is_zero, 1.0, divisor);
    if (v.defined()) {
        steps = steps + v;
    }
    const at::Tensor rounded = round_ste(at::where(is_zero, 0.0, steps));
    return clamp_inside(rounded + center_of(scheme), 0, two_to(scheme.bits) - 1);
}

/// Values of codes, both [rows, groups, width]. The order of the operations is that of
/// quant/gguf_blocks_k.cpp.
at::Tensor values_of(const at::Tensor& codes, const at::Tensor& scale, const at::Tensor& minimum,
    const Scheme& scheme)
{
    const at::Tensor scaled = scale.unsqueeze(-1) * (codes - center_of(scheme));
    return minimum.defined() ? scaled - minimum.unsqueeze(-1) : scaled;
}

struct DoubledNumbers
{
    Doubled scale;
    Doubled minimum; ///< undefined tensors for symmetric types
};

DoubledNumbers doubled_numbers(
    const GroupRange& range, const Scheme& scheme, const TunedValues& tuned)
{
    const GroupNumbers exact = group_numbers(range, scheme, tuned);
    return {doubled(exact.scale, scheme),
        exact.minimum.defined() ? doubled(exact.minimum, scheme) : Doubled{}};
}

struct Quantized
{
    GroupLayout layout;
    DoubledNumbers numbers;
    at::Tensor codes; ///< floating point [rows, groups, width]
};

Quantized quantize_groups(const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned)
{
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    const at::Tensor grouped = layout.split(weight);
    const GroupRange range = tuned.range.min.defined() ? tuned.range : group_range(grouped);
    const DoubledNumbers numbers = doubled_numbers(range, scheme, tuned);
    return {layout, numbers,
        codes_of(grouped, numbers.scale.values, numbers.minimum.values, tuned.v, scheme)};
}

void check_columns(const at::Tensor& weight, const Scheme& scheme)
{
    const int64_t width = scheme.group_size * scheme.super_group_size;
    if (weight.size(-1) % width != 0) {
        fail(ErrorCode::ShapeMismatch, "rows do not hold whole super-blocks",
            {{"found", concat(weight.size(-1), " columns")},
                {"allowed", concat("multiples of ", width)}},
            "use a type with groups of 32 columns, or keep this layer at 16 bits");
    }
}

void check_super(const at::Tensor& super, const at::Tensor& weight)
{
    if (super.defined() && !at::isfinite(super).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "the weight is too large for fp16 scales of super-blocks",
            {{"found", concat("magnitudes up to ", weight.abs().amax().item<double>())}},
            "keep this layer at 16 bits");
    }
}

QuantizedWeight encode_rows(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned)
{
    const Quantized part = quantize_groups(weight, scheme, tuned);
    const auto& [scale, minimum] = part.numbers;
    check_super(scale.super, weight);
    check_super(minimum.super, weight);
    QuantizedWeight result;
    result.scheme = scheme;
    result.input_max = tuned.input_max;
    result.codes = part.layout.join(part.codes.to(at::kByte));
    result.scales = scale.codes.to(at::kChar);
    result.super_scales = scale.super.to(at::kHalf);
    if (!scheme.sym) {
        result.zeros = minimum.codes.to(at::kByte);
        result.super_zeros = minimum.super.to(at::kHalf);
    }
    return result;
}

/// d·L [rows, groups].
at::Tensor group_scales(const QuantizedWeight& weight)
{
    return times_super(weight.scales.to(at::kFloat), weight.super_scales.to(at::kFloat));
}

/// dmin·M [rows, groups]; undefined for symmetric types.
at::Tensor group_minima(const QuantizedWeight& weight)
{
    return weight.scheme.sym
        ? at::Tensor()
        : times_super(weight.zeros.to(at::kFloat), weight.super_zeros.to(at::kFloat));
}

bool is_same_type(const Scheme& a, const Scheme& b)
{
    return a.data_type == b.data_type && a.bits == b.bits && a.sym == b.sym
        && a.group_size == b.group_size && a.group_rows == b.group_rows
        && a.super_bits == b.super_bits && a.super_group_size == b.super_group_size;
}

} // namespace

GroupNumbers stored_numbers(const GroupRange& range, const Scheme& scheme, const TunedValues& tuned)
{
    const DoubledNumbers numbers = doubled_numbers(range, scheme, tuned);
    return {numbers.scale.values, numbers.minimum.values};
}

std::string DoubleCodec::refusal(const Scheme& scheme) const
{
    std::vector<std::string> names;
    for (const GgufPreset& preset : gguf_presets()) {
        if (preset.scheme.data_type != DataType::IntDouble) {
            continue;
        }
        if (is_same_type(preset.scheme, scheme)) {
            return {};
        }
        names.emplace_back(preset.name);
    }
    return concat("codes with quantized scales have the bits, groups and super-blocks of one of ",
        join(names, ", "));
}

at::Tensor DoubleCodec::fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    check_columns(weight, scheme);
    check_shapes(weight, scheme, tuned);
    const Quantized result = quantize_groups(weight, scheme, tuned);
    return result.layout.join(values_of(
        result.codes, result.numbers.scale.values, result.numbers.minimum.values, scheme));
}

QuantizedWeight DoubleCodec::encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    const at::NoGradGuard no_grad;
    check_columns(weight, scheme);
    check_shapes(weight, scheme, tuned);
    check_weight(weight, scheme, {});
    return encode_by_rows(
        weight, scheme, tuned, [&scheme](const at::Tensor& rows, const TunedValues& values) {
            return encode_rows(rows, scheme, values);
        });
}

GroupRange DoubleCodec::search(const at::Tensor& weight, const Scheme& scheme,
    const at::Tensor& importance, const at::Tensor&) const
{
    return search_supers(search_separate(weight, scheme, importance), weight, scheme, importance);
}

at::Tensor DoubleCodec::decode(const QuantizedWeight& weight) const
{
    const at::NoGradGuard no_grad;
    const GroupLayout layout(weight.scheme, weight.rows(), weight.columns());
    return layout.join(values_of(layout.split(weight.codes.to(at::kFloat)), group_scales(weight),
        group_minima(weight), weight.scheme));
}

CodeGrid DoubleCodec::code_grid(const QuantizedWeight& frame) const
{
    CodeGrid grid;
    grid.scale = group_scales(frame);
    if (frame.scheme.sym) {
        grid.zero = at::full_like(grid.scale, center_of(frame.scheme));
    } else {
        grid.minimum = -group_minima(frame);
    }
    grid.last = two_to(frame.scheme.bits) - 1;
    return grid;
}

std::vector<TunablePart> DoubleCodec::tunable_parts(const Scheme& scheme) const
{
    std::vector<TunablePart> parts = {{{"super_scales", &QuantizedWeight::super_scales}}};
    if (!scheme.sym) {
        parts.push_back({{"super_zeros", &QuantizedWeight::super_zeros}, true});
    }
    return parts;
}

} // namespace bitsmith::quant
