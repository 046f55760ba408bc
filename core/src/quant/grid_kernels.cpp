// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled with -O3 -ffp-contract=off (see CMakeLists.txt): a fused multiply-add would round once
// where ElementGrid::round rounds twice.
#include "quant/grid_kernels.h"

#include "base/simd.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bitsmith::quant {

namespace {

constexpr int kFractionBits = 23, kBias = 127; ///< of fp32

/// Constants of a grid.
struct Numbers
{
    float max;
    float next; ///< steps to the next power of two
    int lowest; ///< biased exponent of the smallest normal number
    int mantissa_bits;
};

Numbers numbers_of(const ElementGrid& grid)
{
    return {static_cast<float>(grid.max),
        std::ldexp(1.0F, static_cast<int>(grid.mantissa_bits) + 1),
        static_cast<int>(grid.min_exponent) + kBias, static_cast<int>(grid.mantissa_bits)};
}

BITSMITH_INLINE float power(int biased)
{
    return std::bit_cast<float>(static_cast<uint32_t>(biased) << kFractionBits);
}

/// One weight on its way to a number.
struct Rounded
{
    float element;
    float scaled; ///< W / factor, clamped
    bool is_inside; ///< nothing was clamped behind the shift
    bool is_in_range; ///< W / factor was not clamped
};

BITSMITH_INLINE Rounded round_one(const Numbers& n, float scaled, float v)
{
    const float x = clamped(scaled, -n.max, n.max);
    const auto bits = static_cast<int>(std::bit_cast<uint32_t>(x) & 0x7FFFFFFFU);
    const int exponent = std::max(bits >> kFractionBits, n.lowest) - n.mantissa_bits;
    const float step = power(exponent), steps_per_unit = power(2 * kBias - exponent);
    const float steps = round_small(x * steps_per_unit + v);
    const float near = clamped(steps, -n.next, n.next) * step;
    const float element = clamped(near, -n.max, n.max) + 0.0F;
    const bool is_inside = std::abs(steps) <= n.next && std::abs(near) <= n.max;
    return {element, scaled, is_inside, std::abs(scaled) <= n.max};
}

/// Where a group lies.
struct Group
{
    int64_t index, offset, count;
};

BITSMITH_INLINE Group group_at(const GridArrays& a, int64_t row, int64_t i)
{
    const int64_t first = i * a.width;
    return {row * a.groups + i, row * a.columns + first, std::min(a.width, a.columns - first)};
}

BITSMITH_INLINE void quantize_group(
    const GridArrays& a, const Numbers& n, const Group& group, float* __restrict__ values)
{
    const float* __restrict__ w = a.weight + group.offset;
    const float* __restrict__ v = a.v + group.index * a.width;
    float* __restrict__ out = values + group.offset;
    const float factor = a.factor[group.index];
    if (factor == 0) {
        std::fill_n(out, group.count, 0.0F);
        return;
    }
    for (int64_t j = 0; j < group.count; ++j) {
        out[j] = round_one(n, w[j] / factor, v[j]).element * factor;
    }
}

BITSMITH_INLINE void step_group(const GridArrays& a, const Numbers& n, const Group& group,
    const float* gradients, float* factor_gradient, float rate)
{
    const float* __restrict__ w = a.weight + group.offset;
    const float* __restrict__ gradient = gradients + group.offset;
    float* __restrict__ v = a.v + group.index * a.width;
    const float factor = a.factor[group.index];
    float sum = 0;
    if (factor != 0) {
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < group.count; ++j) {
            const float g = gradient[j];
            const Rounded r = round_one(n, w[j] / factor, v[j]);
            sum += g * (r.element - (r.is_inside && r.is_in_range ? r.scaled : 0.0F));
            const float sign = static_cast<float>(g > 0) - static_cast<float>(g < 0);
            v[j] -= r.is_inside ? rate * sign : 0.0F;
        }
    }
    factor_gradient[group.index] = sum;
}

BITSMITH_INLINE float group_error(
    const GridArrays& a, const Numbers& n, const Group& group, const float* h)
{
    const float* __restrict__ w = a.weight + group.offset;
    const float* __restrict__ weights = h + group.offset % a.columns;
    const float factor = a.factor[group.index];
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < group.count; ++j) {
        const float scaled = factor == 0 ? 0.0F : w[j] / factor;
        const float difference = round_one(n, scaled, 0.0F).element * factor - w[j];
        sum += weights[j] * difference * difference;
    }
    return sum;
}

/// A pass over all groups of some rows.
template <class Function>
struct OverGroups
{
    const GridArrays& a;
    const Function& function;
    BITSMITH_INLINE void operator()(int64_t first, int64_t last) const
    {
        const Numbers n = numbers_of(a.grid);
        for (int64_t row = first; row < last; ++row) {
            for (int64_t i = 0; i < a.groups; ++i) {
                function(n, group_at(a, row, i));
            }
        }
    }
};

template <class Function>
void run(const Function& function, int64_t first, int64_t last)
{
    run_on_isa(OverGroups<Function>{function.a, function}, first, last);
}

struct Quantize
{
    const GridArrays& a;
    float* values;
    BITSMITH_INLINE void operator()(const Numbers& n, const Group& group) const
    {
        quantize_group(a, n, group, values);
    }
};

struct Step
{
    const GridArrays& a;
    const float* gradient;
    float* factor_gradient;
    float rate;
    BITSMITH_INLINE void operator()(const Numbers& n, const Group& group) const
    {
        step_group(a, n, group, gradient, factor_gradient, rate);
    }
};

struct Error
{
    const GridArrays& a;
    const float* h;
    float* errors;
    BITSMITH_INLINE void operator()(const Numbers& n, const Group& group) const
    {
        errors[group.index] = group_error(a, n, group, h);
    }
};

} // namespace

void grid_quantize_rows(const GridArrays& arrays, float* values, int64_t first, int64_t last)
{
    run(Quantize{arrays, values}, first, last);
}

void grid_step_rows(const GridArrays& arrays, const float* gradient, float* factor_gradient,
    float rate, int64_t first, int64_t last)
{
    run(Step{arrays, gradient, factor_gradient, rate}, first, last);
}

void grid_error_rows(
    const GridArrays& arrays, const float* h, float* errors, int64_t first, int64_t last)
{
    run(Error{arrays, h, errors}, first, last);
}

} // namespace bitsmith::quant
