// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled with -O3 -ffp-contract=off (see CMakeLists.txt): a fused multiply-add would round once
// where the codec rounds twice. The loops are plain C++ that the compiler vectorizes; each exists
// once per instruction set, chosen at run time, because the build targets the x86-64 baseline.
#include "tune/affine_kernels.h"

#include "base/simd.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

namespace bitsmith::tune {

namespace {

using quant::Affine;

template <class T>
T to_half_and_back(T x)
{
    return static_cast<T>(static_cast<float>(c10::Half(static_cast<float>(x))));
}

/// Range of a group under its factors, with the signs of algorithm.md 1.6.
template <class T>
struct FactoredRange
{
    T low, high;
};

template <class T>
BITSMITH_INLINE FactoredRange<T> factored_range(const AffineArrays<T>& a, int64_t group)
{
    return {a.range_min[group] * a.min_scale[group], a.range_max[group] * a.max_scale[group]};
}

template <class T>
BITSMITH_INLINE T levels_of(const AffineArrays<T>& a)
{
    return static_cast<T>((int64_t{1} << a.bits) - 1);
}

/// The scale before it is kept away from zero.
template <class T>
T raw_scale(const AffineArrays<T>& a, const FactoredRange<T>& range)
{
    if (a.kind != Affine::Symmetric) {
        return to_half_and_back((range.high - range.low) / levels_of(a));
    }
    const T below = -range.low;
    const T largest = range.high < below ? below : -std::max(below, range.high);
    return to_half_and_back(largest / static_cast<T>(int64_t{1} << (a.bits - 1)));
}

template <class T>
void set_parameters(const AffineArrays<T>& a, int64_t group)
{
    constexpr T threshold = static_cast<T>(quant::kScaleThreshold);
    const FactoredRange<T> range = factored_range(a, group);
    const T raw = raw_scale(a, range);
    const T scale = raw < 0 ? std::min(raw, -threshold) : std::max(raw, threshold);
    a.scale[group] = scale;
    if (a.kind == Affine::Symmetric) {
        a.offset[group] = static_cast<T>(int64_t{1} << (a.bits - 1));
    } else if (a.kind == Affine::FloatMinimum) {
        a.offset[group] = to_half_and_back(range.low) + T(0);
    } else {
        a.offset[group] = std::min(std::nearbyint(-range.low / scale), levels_of(a));
    }
}

/// Lowest and highest rounded step that has a code, and the minimum.
template <class T>
struct Codes
{
    T first, last, minimum;
};

template <class T>
BITSMITH_INLINE Codes<T> codes_of(const AffineArrays<T>& a, int64_t group)
{
    if (a.kind == Affine::FloatMinimum) {
        return {T(0), levels_of(a), a.offset[group]};
    }
    return {-a.offset[group], levels_of(a) - a.offset[group], T(0)};
}

template <class T>
BITSMITH_INLINE void quantize_group(const AffineArrays<T>& a, int64_t row, int64_t index)
{
    const int64_t group = row * a.groups + index;
    const int64_t first = index * a.width;
    const int64_t count = std::min(a.width, a.columns - first);
    const T* __restrict__ w = a.weight + row * a.columns + first;
    const T* __restrict__ v = a.v + group * a.width;
    T* __restrict__ out = a.values + row * a.columns + first;
    const T scale = a.scale[group];
    const Codes<T> codes = codes_of(a, group);
    if (scale == 0) {
        std::fill_n(out, count, codes.minimum);
        return;
    }
    for (int64_t j = 0; j < count; ++j) {
        const T step = (w[j] - codes.minimum) / scale + v[j];
        out[j] = round_small(clamped(step, codes.first, codes.last)) * scale + codes.minimum;
    }
}

/// Sums over a group that the gradients of the factors are made of.
template <class T>
struct GroupSums
{
    T scale; ///< Σ G · (q - in · (W - m)/s)
    T clamped; ///< Σ G · (1 - in)
};

template <class T>
BITSMITH_INLINE GroupSums<T> step_group(
    const AffineArrays<T>& a, int64_t row, int64_t index, const StepRates<T>& rates)
{
    const int64_t group = row * a.groups + index;
    const int64_t first = index * a.width;
    const int64_t count = std::min(a.width, a.columns - first);
    const T* __restrict__ w = a.weight + row * a.columns + first;
    const T* __restrict__ gradient = a.gradient + row * a.columns + first;
    T* __restrict__ v = a.v + group * a.width;
    const T scale = a.scale[group];
    const Codes<T> codes = codes_of(a, group);
    const T lr = scale < 0 ? -rates.rounding : rates.rounding;
    const T slack = rates.open_ends ? T(1) : T(0);
    const T lowest = codes.first + slack, highest = codes.last - slack;
    T scale_sum = 0, clamped_sum = 0;
    if (scale == 0) {
        return {T(0), std::accumulate(gradient, gradient + count, T(0))};
    }
#pragma omp simd reduction(+ : scale_sum, clamped_sum)
    for (int64_t j = 0; j < count; ++j) {
        const T g = gradient[j];
        const T steps = (w[j] - codes.minimum) / scale;
        // One code of slack on both sides keeps "outside" visible after rounding.
        const T near = round_small(clamped(steps + v[j], codes.first - 1, codes.last + 1));
        const bool inside = near >= lowest && near <= highest;
        const T code = clamped(near, codes.first, codes.last);
        scale_sum += g * (code - (inside ? steps : T(0)));
        clamped_sum += inside ? T(0) : g;
        const T signed_lr = g > 0 ? lr : (g < 0 ? -lr : T(0));
        v[j] -= inside ? signed_lr : T(0);
    }
    return {scale_sum, clamped_sum};
}

template <class T>
BITSMITH_INLINE T moved(T factor, T gradient, T lr, T largest)
{
    const T step = gradient > 0 ? lr : (gradient < 0 ? -lr : T(0));
    return clamped(factor - step, T(0), largest);
}

/// Gradients of the factors, algorithm.md 1.20.
template <class T>
void step_factors(const AffineArrays<T>& a, int64_t group, const GroupSums<T>& sums, T lr)
{
    constexpr T threshold = static_cast<T>(quant::kScaleThreshold);
    const FactoredRange<T> range = factored_range(a, group);
    const bool raised = std::abs(raw_scale(a, range)) <= threshold;
    T min_gradient = 0, max_gradient = 0;
    if (a.kind == Affine::Symmetric) {
        const T below = -range.low;
        const T slope = raised ? T(0) : (range.high < below ? sums.scale : -sums.scale);
        max_gradient = range.high >= below ? slope * a.range_max[group] : T(0);
        min_gradient = range.high <= below ? slope * -a.range_min[group] : T(0);
    } else {
        T slope = sums.scale;
        if (a.kind == Affine::Asymmetric) {
            slope -= sums.clamped * (range.low / a.scale[group]);
        }
        slope = raised ? T(0) : slope / levels_of(a);
        max_gradient = slope * a.range_max[group];
        min_gradient = (sums.clamped - slope) * a.range_min[group];
    }
    a.min_scale[group] = moved(a.min_scale[group], min_gradient, lr, a.largest_factor);
    a.max_scale[group] = moved(a.max_scale[group], max_gradient, lr, a.largest_factor);
}

template <class T>
BITSMITH_INLINE void quantize_body(const AffineArrays<T>& a, int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; ++row) {
        for (int64_t index = 0; index < a.groups; ++index) {
            if (a.scale_gradient == nullptr) {
                set_parameters(a, row * a.groups + index);
            }
            quantize_group(a, row, index);
        }
    }
}

template <class T>
BITSMITH_INLINE void step_body(
    const AffineArrays<T>& a, int64_t first, int64_t last, const StepRates<T>& rates)
{
    for (int64_t row = first; row < last; ++row) {
        for (int64_t index = 0; index < a.groups; ++index) {
            const int64_t group = row * a.groups + index;
            const GroupSums<T> sums = step_group(a, row, index, rates);
            if (a.scale_gradient != nullptr) {
                a.scale_gradient[group] = sums.scale;
                a.offset_gradient[group] = sums.clamped;
            } else if (rates.range != 0) {
                step_factors(a, group, sums, rates.range);
            }
        }
    }
}

template <class T>
struct Quantize
{
    const AffineArrays<T>& arrays;
    BITSMITH_INLINE void operator()(int64_t first, int64_t last) const
    {
        quantize_body(arrays, first, last);
    }
};

template <class T>
struct Step
{
    const AffineArrays<T>& arrays;
    const StepRates<T>& rates;
    BITSMITH_INLINE void operator()(int64_t first, int64_t last) const
    {
        step_body(arrays, first, last, rates);
    }
};

} // namespace

void quantize_rows(const AffineArrays<float>& arrays, int64_t first, int64_t last)
{
    run_on_isa(Quantize<float>{arrays}, first, last);
}

void quantize_rows(const AffineArrays<double>& arrays, int64_t first, int64_t last)
{
    run_on_isa(Quantize<double>{arrays}, first, last);
}

void step_rows(
    const AffineArrays<float>& arrays, int64_t first, int64_t last, const StepRates<float>& rates)
{
    run_on_isa(Step<float>{arrays, rates}, first, last);
}

void step_rows(
    const AffineArrays<double>& arrays, int64_t first, int64_t last, const StepRates<double>& rates)
{
    run_on_isa(Step<double>{arrays, rates}, first, last);
}

} // namespace bitsmith::tune
