// SPDX-License-Identifier: GPL-3.0-or-later
// Errors of groups under trial scales, several rows side by side. For the kernels of searches, which
// are compiled once per instruction set.
#pragma once

#include "base/simd.h"

#include <cstdint>

namespace bitsmith::quant {

/// Rows that are searched side by side, one in each lane of a vector: sums then run along a lane, in
/// the same order in every instruction set.
inline constexpr int64_t kLanes = 16;

/// A number of each row.
template <int64_t Lanes>
struct alignas(Lanes * sizeof(float)) Floats
{
    float values[Lanes];

    BITSMITH_INLINE void fill(float value)
    {
        for (float& each : values) {
            each = value;
        }
    }
    BITSMITH_INLINE float& operator[](int64_t lane) { return values[lane]; }
    BITSMITH_INLINE float operator[](int64_t lane) const { return values[lane]; }
};

/// One group of each row.
template <int64_t Lanes>
struct Tile
{
    const float* weight; ///< [count, Lanes]
    const float* importance; ///< [count]
    int64_t count;
};

/// value = scale · code + minimum, code an integer in [first, last].
template <int64_t Lanes>
struct Grids
{
    Floats<Lanes> scale, minimum, first, last;
};

/// Sums over a group under one grid. What does not depend on codes is in Constants.
template <int64_t Lanes>
struct Fits
{
    Floats<Lanes> error; ///< Σ h (scale · code + minimum - w)²
    Floats<Lanes> hc, hcc, hwc; ///< Σ h c, Σ h c², Σ h w c
};

template <int64_t Lanes>
struct Constants
{
    float h = 0; ///< Σ h
    Floats<Lanes> hw{}; ///< Σ h w
};

/// 1 / x, and 0 for 0: all weights of a group without a scale get the code 0.
template <int64_t Lanes>
BITSMITH_INLINE Floats<Lanes> reciprocals(const Floats<Lanes>& x)
{
    Floats<Lanes> result;
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        result[lane] = x[lane] == 0 ? 0.0F : 1 / x[lane];
    }
    return result;
}

/// Rounds the group to each lane's grid, with a product by the reciprocal scale for the quotient.
template <int64_t Lanes>
BITSMITH_INLINE void fit(const Tile<Lanes>& tile, const Grids<Lanes>& grids, Fits<Lanes>& fits)
{
    const Floats<Lanes> inverse = reciprocals(grids.scale);
    Fits<Lanes> sums{};
    for (int64_t j = 0; j < tile.count; ++j) {
        const float* __restrict__ weight = tile.weight + j * Lanes;
        const float h = tile.importance[j];
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const float w = weight[lane], minimum = grids.minimum[lane];
            const float code = round_small(
                clamped((w - minimum) * inverse[lane], grids.first[lane], grids.last[lane]));
            const float difference = code * grids.scale[lane] + minimum - w;
            const float weighted = h * code;
            sums.error[lane] += h * difference * difference;
            sums.hc[lane] += weighted;
            sums.hcc[lane] += weighted * code;
            sums.hwc[lane] += weighted * w;
        }
    }
    fits = sums;
}

/// The same for the errors alone.
template <int64_t Lanes>
BITSMITH_INLINE void measure(
    const Tile<Lanes>& tile, const Grids<Lanes>& grids, Floats<Lanes>& errors)
{
    const Floats<Lanes> inverse = reciprocals(grids.scale);
    Floats<Lanes> sums{};
    for (int64_t j = 0; j < tile.count; ++j) {
        const float* __restrict__ weight = tile.weight + j * Lanes;
        const float h = tile.importance[j];
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const float w = weight[lane], minimum = grids.minimum[lane];
            const float code = round_small(
                clamped((w - minimum) * inverse[lane], grids.first[lane], grids.last[lane]));
            const float difference = code * grids.scale[lane] + minimum - w;
            sums[lane] += h * difference * difference;
        }
    }
    errors = sums;
}

template <int64_t Lanes>
BITSMITH_INLINE Constants<Lanes> constants_of(const Tile<Lanes>& tile)
{
    Constants<Lanes> constants;
    for (int64_t j = 0; j < tile.count; ++j) {
        const float h = tile.importance[j];
        constants.h += h;
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            constants.hw[lane] += h * tile.weight[j * Lanes + lane];
        }
    }
    return constants;
}

} // namespace bitsmith::quant
