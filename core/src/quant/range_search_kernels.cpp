// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled with -O3 -ffp-contract=off (see CMakeLists.txt).
#include "quant/range_search_kernels.h"

#include "quant/group_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace bitsmith::quant {

namespace {

template <int64_t Lanes>
struct RangedTile : Tile<Lanes>
{
    Floats<Lanes> low{}, high{}; ///< ends of the weights, zero among them
};

BITSMITH_INLINE bool is_usable(float scale)
{
    const float magnitude = std::abs(scale);
    return (magnitude > static_cast<float>(kScaleThreshold))
        & (magnitude <= std::numeric_limits<float>::max());
}

/// The best grids so far.
template <int64_t Lanes>
struct Best
{
    Grids<Lanes> grids;
    Floats<Lanes> error;

    BITSMITH_INLINE explicit Best(const Grids<Lanes>& own)
        : grids(own)
    {
        error.fill(std::numeric_limits<float>::infinity());
    }

    BITSMITH_INLINE void offer(const Grids<Lanes>& candidates, const Floats<Lanes>& errors)
    {
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const bool is_better = (errors[lane] < error[lane]) & is_usable(candidates.scale[lane]);
            const auto choose = [is_better, lane](
                                    Floats<Lanes>& mine, const Floats<Lanes>& theirs) {
                mine[lane] = is_better ? theirs[lane] : mine[lane];
            };
            choose(error, errors);
            choose(grids.scale, candidates.scale);
            choose(grids.minimum, candidates.minimum);
            choose(grids.first, candidates.first);
            choose(grids.last, candidates.last);
        }
    }
};

/// Tries grids, then the scales that fit their codes best.
template <int64_t Lanes>
BITSMITH_INLINE void try_scales(const Tile<Lanes>& tile, Grids<Lanes>& grids, Best<Lanes>& best)
{
    Fits<Lanes> fits;
    fit(tile, grids, fits);
    best.offer(grids, fits.error);
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        const float refit = rounded_to_half(fits.hwc[lane] / fits.hcc[lane]);
        const bool keeps_sign = refit * grids.scale[lane] > 0;
        // A scale of zero is not usable.
        grids.scale[lane] = keeps_sign ? refit : 0.0F;
    }
    measure(tile, grids, fits.error);
    best.offer(grids, fits.error);
}

/// The same with minima of their own.
template <int64_t Lanes>
BITSMITH_INLINE void try_minima(const Tile<Lanes>& tile, const Constants<Lanes>& constants,
    Grids<Lanes>& grids, Best<Lanes>& best)
{
    Fits<Lanes> fits;
    fit(tile, grids, fits);
    best.offer(grids, fits.error);
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        const float h = constants.h, hw = constants.hw[lane], hc = fits.hc[lane];
        const float hcc = fits.hcc[lane], hwc = fits.hwc[lane];
        const float determinant = h * hcc - hc * hc;
        const float scale = rounded_to_half((h * hwc - hw * hc) / determinant);
        const float minimum = rounded_to_half((hw * hcc - hc * hwc) / determinant);
        const bool is_fit = (determinant > 0) & (scale > 0)
            & (std::abs(minimum) <= std::numeric_limits<float>::max());
        grids.scale[lane] = is_fit ? scale : 0.0F;
        grids.minimum[lane] = minimum;
    }
    measure(tile, grids, fits.error);
    best.offer(grids, fits.error);
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

/// Wider than lab.md 7.2 has them: weights of real models have longer tails than Gaussian ones.
Trials symmetric_trials(int64_t bits)
{
    return bits <= 3 ? Trials{49, 0.5F, 2.3F} : Trials{41, 0.7F, 1.9F};
}

Trials range_trials(int64_t bits)
{
    return bits <= 3 ? Trials{15, 0.3F, 1.0F} : Trials{13, 0.4F, 1.0F};
}

template <int64_t Lanes>
BITSMITH_INLINE void search_symmetric(
    const RangedTile<Lanes>& tile, int64_t bits, Floats<Lanes>& out_low, Floats<Lanes>& out_high)
{
    const float half = static_cast<float>(int64_t{1} << (bits - 1));
    /// The scale whose code of largest magnitude stands for `factor` of the largest weight; `sign` 1
    /// is that of the groups' own scales.
    const auto grids_of = [&tile, half](float sign, float factor) {
        Grids<Lanes> grids;
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const float below = -tile.low[lane], high = tile.high[lane];
            const float own_sign = high < below ? sign : -sign;
            const float largest = below < high ? high : below;
            grids.scale[lane] = rounded_to_half(own_sign * largest / (half * factor));
            grids.minimum[lane] = 0;
            grids.first[lane] = -half;
            grids.last[lane] = half - 1;
        }
        return grids;
    };
    Grids<Lanes> grids = grids_of(1, 1);
    Best<Lanes> best(grids);
    try_scales(tile, grids, best);
    const Trials trials = symmetric_trials(bits);
    for (const float sign : {1.0F, -1.0F}) {
        for (int i = 0; i < trials.count; ++i) {
            grids = grids_of(sign, trials.at(i));
            try_scales(tile, grids, best);
        }
    }
    // The range from which the codec computes this scale, its sign included.
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        const float end = -best.grids.scale[lane] * half;
        out_low[lane] = end < 0 ? end : 0;
        out_high[lane] = end < 0 ? 0 : end;
    }
}

template <int64_t Lanes>
BITSMITH_INLINE void search_asymmetric(
    const RangedTile<Lanes>& tile, int64_t bits, Floats<Lanes>& out_low, Floats<Lanes>& out_high)
{
    const float levels = static_cast<float>((int64_t{1} << bits) - 1);
    const auto grids_of = [&tile, levels](float low_factor, float high_factor) {
        Grids<Lanes> grids;
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const float from = tile.low[lane] * low_factor, to = tile.high[lane] * high_factor;
            const float scale = rounded_to_half((to - from) / levels);
            const float zero = round_small(clamped(-from / scale, 0.0F, levels));
            grids.scale[lane] = scale;
            grids.minimum[lane] = 0;
            grids.first[lane] = -zero;
            grids.last[lane] = levels - zero;
        }
        return grids;
    };
    Best<Lanes> best(grids_of(1, 1));
    const Trials trials = range_trials(bits);
    for (int i = trials.count - 1; i >= 0; --i) {
        for (int j = trials.count - 1; j >= 0; --j) {
            Grids<Lanes> grids = grids_of(trials.at(i), trials.at(j));
            try_scales(tile, grids, best);
        }
    }
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        out_low[lane] = best.grids.first[lane] * best.grids.scale[lane];
        out_high[lane] = best.grids.last[lane] * best.grids.scale[lane];
    }
}

template <int64_t Lanes>
BITSMITH_INLINE void search_minimum(
    const RangedTile<Lanes>& tile, int64_t bits, Floats<Lanes>& out_low, Floats<Lanes>& out_high)
{
    const float levels = static_cast<float>((int64_t{1} << bits) - 1);
    const Constants<Lanes> constants = constants_of(tile);
    const auto grids_of = [&tile, levels](float low_factor, float high_factor) {
        Grids<Lanes> grids;
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const float from = tile.low[lane] * low_factor, to = tile.high[lane] * high_factor;
            grids.scale[lane] = rounded_to_half((to - from) / levels);
            grids.minimum[lane] = rounded_to_half(from);
            grids.first[lane] = 0;
            grids.last[lane] = levels;
        }
        return grids;
    };
    Best<Lanes> best(grids_of(1, 1));
    const Trials trials = range_trials(bits);
    for (int i = trials.count - 1; i >= 0; --i) {
        for (int j = trials.count - 1; j >= 0; --j) {
            Grids<Lanes> grids = grids_of(trials.at(i), trials.at(j));
            try_minima(tile, constants, grids, best);
        }
    }
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        out_low[lane] = best.grids.minimum[lane];
        out_high[lane] = best.grids.minimum[lane] + best.grids.scale[lane] * levels;
    }
}

/// Rows [first, first + count) with count <= Lanes.
template <int64_t Lanes>
BITSMITH_INLINE void search_tile(
    const SearchArrays& a, int64_t first, int64_t count, int64_t index, std::vector<float>& buffer)
{
    const int64_t begin = index * a.width;
    RangedTile<Lanes> tile{
        {buffer.data(), a.importance + begin, std::min(a.width, a.columns - begin)}};
    for (int64_t lane = 0; lane < count; ++lane) {
        const float* weight = a.weight + (first + lane) * a.columns + begin;
        for (int64_t j = 0; j < tile.count; ++j) {
            buffer[static_cast<std::size_t>(j * Lanes + lane)] = weight[j];
            tile.low[lane] = std::min(tile.low[lane], weight[j]);
            tile.high[lane] = std::max(tile.high[lane], weight[j]);
        }
    }
    Floats<Lanes> low, high;
    if (a.kind == Affine::Symmetric) {
        search_symmetric(tile, a.bits, low, high);
    } else if (a.kind == Affine::Asymmetric) {
        search_asymmetric(tile, a.bits, low, high);
    } else {
        search_minimum(tile, a.bits, low, high);
    }
    for (int64_t lane = 0; lane < count; ++lane) {
        const bool is_zero = tile.low[lane] == tile.high[lane];
        a.low[(first + lane) * a.groups + index] = is_zero ? 0 : low[lane];
        a.high[(first + lane) * a.groups + index] = is_zero ? 0 : high[lane];
    }
}

template <int64_t Lanes>
BITSMITH_INLINE void search_body(const SearchArrays& a, int64_t first, int64_t last)
{
    // Lanes without a row stay zero.
    std::vector<float> buffer(static_cast<std::size_t>(std::min(a.width, a.columns) * Lanes));
    for (int64_t row = first; row < last; row += Lanes) {
        for (int64_t index = 0; index < a.groups; ++index) {
            search_tile<Lanes>(a, row, std::min(Lanes, last - row), index, buffer);
        }
    }
}

struct Search
{
    const SearchArrays& arrays;
    BITSMITH_INLINE void operator()(int64_t first, int64_t last) const
    {
        // A single row may be a whole tensor, of which one copy is enough.
        if (last - first == 1) {
            search_body<1>(arrays, first, last);
        } else {
            search_body<kLanes>(arrays, first, last);
        }
    }
};

} // namespace

void search_rows(const SearchArrays& arrays, int64_t first, int64_t last)
{
    run_on_isa(Search{arrays}, first, last);
}

} // namespace bitsmith::quant
