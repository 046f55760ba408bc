// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled with -O3 -ffp-contract=off (see CMakeLists.txt).
#include "quant/range_search_kernels.h"

#include "base/simd.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitsmith::quant {

namespace {

float to_half_and_back(float x)
{
    return static_cast<float>(c10::Half(x));
}

/// A group: value = scale · code + minimum, code an integer in [first, last].
struct Group
{
    const float* weight;
    const float* importance;
    int64_t count;
};

struct Grid
{
    float scale, minimum, first, last;
};

/// Sums over a group under one grid.
struct Fit
{
    float error; ///< Σ h (scale · code + minimum - w)²
    float h, hc, hcc, hw, hwc; ///< Σ h, Σ h c, Σ h c², Σ h w, Σ h w c
};

BITSMITH_INLINE Fit fit_of(const Group& group, const Grid& grid)
{
    const float* __restrict__ w = group.weight;
    const float* __restrict__ h = group.importance;
    const float inverse = 1 / grid.scale;
    float error = 0, sum_h = 0, hc = 0, hcc = 0, hw = 0, hwc = 0;
#pragma omp simd reduction(+ : error, sum_h, hc, hcc, hw, hwc)
    for (int64_t j = 0; j < group.count; ++j) {
        const float code =
            round_small(clamped((w[j] - grid.minimum) * inverse, grid.first, grid.last));
        const float difference = code * grid.scale + grid.minimum - w[j];
        const float weighted = h[j] * code;
        error += h[j] * difference * difference;
        sum_h += h[j];
        hc += weighted;
        hcc += weighted * code;
        hw += h[j] * w[j];
        hwc += weighted * w[j];
    }
    return {error, sum_h, hc, hcc, hw, hwc};
}

/// The best grid so far.
struct Best
{
    Grid grid;
    float error;

    BITSMITH_INLINE void offer(const Grid& candidate, float candidate_error)
    {
        if (candidate_error < error) {
            grid = candidate;
            error = candidate_error;
        }
    }
};

BITSMITH_INLINE bool is_usable(float scale)
{
    return std::isfinite(scale) && std::abs(scale) > static_cast<float>(kScaleThreshold);
}

/// Tries a grid, then the scale that fits its codes best.
BITSMITH_INLINE void try_scale(const Group& group, Grid grid, Best& best)
{
    if (!is_usable(grid.scale)) {
        return;
    }
    const Fit first = fit_of(group, grid);
    best.offer(grid, first.error);
    if (!(first.hcc > 0)) {
        return;
    }
    const float refit = to_half_and_back((first.hwc - grid.minimum * first.hc) / first.hcc);
    if (refit != grid.scale && refit * grid.scale > 0 && is_usable(refit)) {
        grid.scale = refit;
        best.offer(grid, fit_of(group, grid).error);
    }
}

/// The same with a minimum of its own.
BITSMITH_INLINE void try_minimum(const Group& group, Grid grid, Best& best)
{
    if (!is_usable(grid.scale)) {
        return;
    }
    const Fit first = fit_of(group, grid);
    best.offer(grid, first.error);
    const float determinant = first.h * first.hcc - first.hc * first.hc;
    if (!(determinant > 0)) {
        return;
    }
    grid.scale = to_half_and_back((first.h * first.hwc - first.hw * first.hc) / determinant);
    grid.minimum = to_half_and_back((first.hw * first.hcc - first.hc * first.hwc) / determinant);
    if (grid.scale > 0 && is_usable(grid.scale) && std::isfinite(grid.minimum)) {
        best.offer(grid, fit_of(group, grid).error);
    }
}

/// Trials of lab.md 7.2.
struct Trials
{
    int count;
    float first, last;

    float at(int i) const
    {
        return first + (last - first) * static_cast<float>(i) / static_cast<float>(count - 1);
    }
};

Trials symmetric_trials(int64_t bits)
{
    return bits <= 3 ? Trials{41, 0.5F, 1.8F} : Trials{33, 0.7F, 1.25F};
}

Trials range_trials(int64_t bits)
{
    return bits <= 3 ? Trials{15, 0.3F, 1.0F} : Trials{11, 0.6F, 1.0F};
}

BITSMITH_INLINE void search_symmetric(
    const Group& group, int64_t bits, float low, float high, float& out_low, float& out_high)
{
    const float half = static_cast<float>(int64_t{1} << (bits - 1));
    const float below = -low;
    const float largest = std::max(below, high);
    const float own_sign = high < below ? 1.0F : -1.0F;
    const Grid own{to_half_and_back(own_sign * largest / half), 0, -half, half - 1};
    Best best{own, std::numeric_limits<float>::infinity()};
    try_scale(group, own, best);
    const Trials trials = symmetric_trials(bits);
    for (const float sign : {own_sign, -own_sign}) {
        for (int i = 0; i < trials.count; ++i) {
            const float scale = to_half_and_back(sign * largest / (half * trials.at(i)));
            try_scale(group, {scale, 0, -half, half - 1}, best);
        }
    }
    // The range from which the codec computes this scale, its sign included.
    out_low = best.grid.scale > 0 ? -best.grid.scale * half : 0;
    out_high = best.grid.scale > 0 ? 0 : -best.grid.scale * half;
}

BITSMITH_INLINE void search_asymmetric(
    const Group& group, int64_t bits, float low, float high, float& out_low, float& out_high)
{
    const float levels = static_cast<float>((int64_t{1} << bits) - 1);
    const auto grid_of = [levels](float from, float to) {
        const float scale = to_half_and_back((to - from) / levels);
        const float zero = clamped(std::nearbyint(-from / scale), 0.0F, levels);
        return Grid{scale, 0, -zero, levels - zero};
    };
    const Grid own = grid_of(low, high);
    Best best{own, std::numeric_limits<float>::infinity()};
    const Trials trials = range_trials(bits);
    for (int i = trials.count - 1; i >= 0; --i) {
        for (int j = trials.count - 1; j >= 0; --j) {
            try_scale(group, grid_of(low * trials.at(i), high * trials.at(j)), best);
        }
    }
    out_low = best.grid.first * best.grid.scale;
    out_high = best.grid.last * best.grid.scale;
}

BITSMITH_INLINE void search_minimum(
    const Group& group, int64_t bits, float low, float high, float& out_low, float& out_high)
{
    const float levels = static_cast<float>((int64_t{1} << bits) - 1);
    const auto grid_of = [levels](float from, float to) {
        return Grid{to_half_and_back((to - from) / levels), to_half_and_back(from), 0, levels};
    };
    Best best{grid_of(low, high), std::numeric_limits<float>::infinity()};
    const Trials trials = range_trials(bits);
    for (int i = trials.count - 1; i >= 0; --i) {
        for (int j = trials.count - 1; j >= 0; --j) {
            try_minimum(group, grid_of(low * trials.at(i), high * trials.at(j)), best);
        }
    }
    out_low = best.grid.minimum;
    out_high = best.grid.minimum + best.grid.scale * levels;
}

BITSMITH_INLINE void search_body(const SearchArrays& a, int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; ++row) {
        for (int64_t index = 0; index < a.groups; ++index) {
            const int64_t begin = index * a.width;
            const Group group{a.weight + row * a.columns + begin, a.importance + begin,
                std::min(a.width, a.columns - begin)};
            float low = 0, high = 0;
            for (int64_t j = 0; j < group.count; ++j) {
                low = std::min(low, group.weight[j]);
                high = std::max(high, group.weight[j]);
            }
            float& out_low = a.low[row * a.groups + index];
            float& out_high = a.high[row * a.groups + index];
            out_low = out_high = 0;
            if (low == high) {
                continue; // all zero
            }
            if (a.kind == Affine::Symmetric) {
                search_symmetric(group, a.bits, low, high, out_low, out_high);
            } else if (a.kind == Affine::Asymmetric) {
                search_asymmetric(group, a.bits, low, high, out_low, out_high);
            } else {
                search_minimum(group, a.bits, low, high, out_low, out_high);
            }
        }
    }
}

struct Search
{
    const SearchArrays& arrays;
    BITSMITH_INLINE void operator()(int64_t first, int64_t last) const
    {
        search_body(arrays, first, last);
    }
};

} // namespace

void search_rows(const SearchArrays& arrays, int64_t first, int64_t last)
{
    run_on_isa(Search{arrays}, first, last);
}

} // namespace bitsmith::quant
