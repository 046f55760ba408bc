// SPDX-License-Identifier: GPL-3.0-or-later
// Compiled with -O3 -ffp-contract=off (see CMakeLists.txt).
#include "quant/super_search_kernels.h"

#include "quant/group_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace bitsmith::quant {

namespace {

/// Super-scales that are tried: that of the largest number over n + k, n its integer (algorithm.md 5.3).
constexpr float kShifts[] = {-0.4F, -0.2F, 0.2F, 0.4F};
constexpr int kRefits = 2;
constexpr float kLargest = 65504; ///< fp16

/// A super-block of each row: its groups' exact numbers, and how they become values.
template <int64_t Lanes>
struct Block
{
    std::array<Tile<Lanes>, kMaxSuperGroups> tiles;
    std::array<Floats<Lanes>, kMaxSuperGroups> scale, minimum; ///< s, and μ >= 0
    Floats<Lanes> largest_scale, largest_minimum; ///< by magnitude, with its sign
    int64_t groups;
    bool sym;
    float first_code, last_code; ///< of weights
    float first, last; ///< of the integers of scales; those of minima are in [0, last]
};

/// Super-scales with the integers under them, and the error of the super-block.
template <int64_t Lanes>
struct Supers
{
    Floats<Lanes> d{}, dmin{};
    std::array<Floats<Lanes>, kMaxSuperGroups> l{}, m{};
    Floats<Lanes> error{};
};

template <int64_t Lanes>
BITSMITH_INLINE Grids<Lanes> grids_of(
    const Block<Lanes>& block, const Floats<Lanes>& scale, const Floats<Lanes>& minimum)
{
    Grids<Lanes> grids;
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        grids.scale[lane] = scale[lane];
        grids.minimum[lane] = 0.0F - minimum[lane];
        grids.first[lane] = block.first_code;
        grids.last[lane] = block.last_code;
    }
    return grids;
}

/// value / super, rounded; 0 where super is 0.
BITSMITH_INLINE float integer_of(float value, float super, float first, float last)
{
    const float quotient = clamped(value / (super == 0 ? 1.0F : super), first, last);
    return super == 0 ? 0.0F : round_small(quotient);
}

/// The integers of a group next to its numbers with the smallest error. The group of the largest
/// number keeps the last integer, since the codec takes super-scales from there.
template <int64_t Lanes>
BITSMITH_INLINE void choose_integers(
    const Block<Lanes>& block, int64_t group, Supers<Lanes>& supers)
{
    const auto g = static_cast<std::size_t>(group);
    const Floats<Lanes>&s = block.scale[g], &mu = block.minimum[g];
    Floats<Lanes> smallest, best_l{}, best_m{};
    smallest.fill(std::numeric_limits<float>::infinity());
    Floats<Lanes> own_l, own_m;
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        own_l[lane] = integer_of(s[lane], supers.d[lane], block.first, block.last);
        own_m[lane] = integer_of(mu[lane], supers.dmin[lane], 0.0F, block.last);
    }
    for (const float more_m : {0.0F, -1.0F, 1.0F}) {
        if (block.sym && more_m != 0) {
            break;
        }
        for (const float more_l : {0.0F, -1.0F, 1.0F}) {
            Floats<Lanes> l, m, scale, minimum, error;
            const float end = block.sym ? block.first : block.last;
#pragma omp simd
            for (int64_t lane = 0; lane < Lanes; ++lane) {
                const float near_l = clamped(own_l[lane] + more_l, block.first, block.last);
                const float near_m = clamped(own_m[lane] + more_m, 0.0F, block.last);
                l[lane] = s[lane] == block.largest_scale[lane] ? end : near_l;
                m[lane] = mu[lane] == block.largest_minimum[lane] ? block.last : near_m;
                scale[lane] = supers.d[lane] * l[lane];
                minimum[lane] = supers.dmin[lane] * m[lane];
            }
            measure(block.tiles[g], grids_of(block, scale, minimum), error);
#pragma omp simd
            for (int64_t lane = 0; lane < Lanes; ++lane) {
                const bool is_better = error[lane] < smallest[lane];
                smallest[lane] = is_better ? error[lane] : smallest[lane];
                best_l[lane] = is_better ? l[lane] : best_l[lane];
                best_m[lane] = is_better ? m[lane] : best_m[lane];
            }
        }
    }
    supers.l[g] = best_l;
    supers.m[g] = best_m;
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        supers.error[lane] += smallest[lane];
    }
}

/// The best integers of all groups under these super-scales.
template <int64_t Lanes>
BITSMITH_INLINE Supers<Lanes> under(
    const Block<Lanes>& block, const Floats<Lanes>& d, const Floats<Lanes>& dmin)
{
    Supers<Lanes> supers;
    supers.d = d;
    supers.dmin = dmin;
    for (int64_t group = 0; group < block.groups; ++group) {
        choose_integers(block, group, supers);
    }
    return supers;
}

/// Takes `other` where its error is smaller.
template <int64_t Lanes>
BITSMITH_INLINE void offer(
    Supers<Lanes>& best, const Supers<Lanes>& other, const Block<Lanes>& block)
{
    Floats<Lanes> is_better;
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        is_better[lane] = other.error[lane] < best.error[lane] ? 1.0F : 0.0F;
    }
    const auto choose = [&is_better](Floats<Lanes>& mine, const Floats<Lanes>& theirs) {
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            mine[lane] = is_better[lane] != 0 ? theirs[lane] : mine[lane];
        }
    };
    choose(best.d, other.d);
    choose(best.dmin, other.dmin);
    choose(best.error, other.error);
    for (std::size_t g = 0; g < static_cast<std::size_t>(block.groups); ++g) {
        choose(best.l[g], other.l[g]);
        choose(best.m[g], other.m[g]);
    }
}

/// The number of largest magnitude among those of the groups, with its sign.
template <int64_t Lanes>
BITSMITH_INLINE Floats<Lanes> largest(
    const std::array<Floats<Lanes>, kMaxSuperGroups>& numbers, int64_t groups)
{
    Floats<Lanes> found = numbers[0];
    for (std::size_t g = 1; g < static_cast<std::size_t>(groups); ++g) {
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const float number = numbers[g][lane];
            found[lane] = std::abs(number) > std::abs(found[lane]) ? number : found[lane];
        }
    }
    return found;
}

/// fp16(x / integer).
template <int64_t Lanes>
BITSMITH_INLINE Floats<Lanes> super_of(const Floats<Lanes>& x, float integer)
{
    Floats<Lanes> super;
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        super[lane] = rounded_to_half(x[lane] / integer);
    }
    return super;
}

/// Super-scales by least squares of what codes and integers make of them.
template <int64_t Lanes>
BITSMITH_INLINE void refit(
    const Block<Lanes>& block, const Supers<Lanes>& found, Floats<Lanes>& d, Floats<Lanes>& dmin)
{
    // ŵ = d a - dmin b with a = L q and b = M.
    Floats<Lanes> aa{}, ab{}, bb{}, aw{}, bw{};
    for (std::size_t g = 0; g < static_cast<std::size_t>(block.groups); ++g) {
        Floats<Lanes> scale, minimum;
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            scale[lane] = found.d[lane] * found.l[g][lane];
            minimum[lane] = found.dmin[lane] * found.m[g][lane];
        }
        Fits<Lanes> fits;
        fit(block.tiles[g], grids_of(block, scale, minimum), fits);
        const Constants<Lanes> constants = constants_of(block.tiles[g]);
#pragma omp simd
        for (int64_t lane = 0; lane < Lanes; ++lane) {
            const float l = found.l[g][lane], m = found.m[g][lane];
            aa[lane] += l * l * fits.hcc[lane];
            ab[lane] += l * m * fits.hc[lane];
            bb[lane] += m * m * constants.h;
            aw[lane] += l * fits.hwc[lane];
            bw[lane] += m * constants.hw[lane];
        }
    }
#pragma omp simd
    for (int64_t lane = 0; lane < Lanes; ++lane) {
        const float determinant = aa[lane] * bb[lane] - ab[lane] * ab[lane];
        const bool has_both = determinant > 1e-6F * aa[lane] * bb[lane];
        const float both_d = (aw[lane] * bb[lane] - bw[lane] * ab[lane]) / determinant;
        const float both_dmin = (aw[lane] * ab[lane] - bw[lane] * aa[lane]) / determinant;
        const float alone = aw[lane] / aa[lane];
        const float fitted = rounded_to_half(has_both ? both_d : alone);
        const float fitted_min = rounded_to_half(both_dmin);
        const bool is_usable = fitted * found.d[lane] > 0 && std::abs(fitted) < kLargest;
        d[lane] = is_usable ? fitted : found.d[lane];
        const bool is_usable_min = has_both && fitted_min > 0 && fitted_min < kLargest;
        dmin[lane] = is_usable && is_usable_min ? fitted_min : found.dmin[lane];
    }
}

template <int64_t Lanes>
BITSMITH_INLINE Supers<Lanes> best_supers(const Block<Lanes>& block)
{
    const Floats<Lanes>&s = block.largest_scale, &mu = block.largest_minimum;
    const float n = block.sym ? block.first : block.last, sign = block.sym ? -1.0F : 1.0F;
    Supers<Lanes> best = under(block, super_of(s, n), super_of(mu, block.last));
    for (const float shift : kShifts) {
        offer(best, under(block, super_of(s, n + sign * shift), best.dmin), block);
    }
    if (!block.sym) {
        for (const float shift : kShifts) {
            offer(best, under(block, best.d, super_of(mu, n + shift)), block);
        }
    }
    for (int i = 0; i < kRefits; ++i) {
        Floats<Lanes> d, dmin;
        refit(block, best, d, dmin);
        offer(best, under(block, d, dmin), block);
    }
    return best;
}

/// Columns of super-block `index` of rows [first, first + count) with count <= Lanes.
template <int64_t Lanes>
BITSMITH_INLINE void search_block(
    const SuperArrays& a, int64_t first, int64_t count, int64_t index, std::vector<float>& buffer)
{
    const int64_t begin = index * a.super_groups * a.width, groups = a.columns / a.width;
    const auto half = static_cast<float>(int64_t{1} << (a.bits - 1));
    const auto integers = static_cast<float>(int64_t{1} << a.super_bits);
    Block<Lanes> block{};
    block.groups = a.super_groups;
    block.sym = a.sym;
    block.first_code = a.sym ? -half : 0.0F;
    block.last_code = block.first_code + 2 * half - 1;
    block.first = a.sym ? -integers / 2 : 0.0F;
    block.last = block.first + integers - 1;
    for (int64_t lane = 0; lane < count; ++lane) {
        const float* weight = a.weight + (first + lane) * a.columns + begin;
        for (int64_t j = 0; j < a.super_groups * a.width; ++j) {
            buffer[static_cast<std::size_t>(j * Lanes + lane)] = weight[j];
        }
        for (int64_t g = 0; g < a.super_groups; ++g) {
            const int64_t at = (first + lane) * groups + index * a.super_groups + g;
            const float low = a.low[at], high = a.high[at];
            const auto group = static_cast<std::size_t>(g);
            block.scale[group][lane] =
                a.sym ? -(low + high) / half : (high - low) / block.last_code;
            block.minimum[group][lane] = a.sym ? 0.0F : -low;
        }
    }
    for (int64_t g = 0; g < a.super_groups; ++g) {
        block.tiles[static_cast<std::size_t>(g)] = {
            buffer.data() + g * a.width * Lanes, a.importance + begin + g * a.width, a.width};
    }
    block.largest_scale = largest(block.scale, block.groups);
    block.largest_minimum = largest(block.minimum, block.groups);
    const Supers<Lanes> best = best_supers(block);
    for (int64_t lane = 0; lane < count; ++lane) {
        if (best.d[lane] == 0 || !(best.error[lane] <= std::numeric_limits<float>::max())) {
            continue; // nothing to round to, or too large for fp16, which the codec refuses
        }
        for (int64_t g = 0; g < a.super_groups; ++g) {
            const int64_t at = (first + lane) * groups + index * a.super_groups + g;
            const auto group = static_cast<std::size_t>(g);
            const float scale = best.d[lane] * best.l[group][lane];
            const float end = -scale * half, minimum = best.dmin[lane] * best.m[group][lane];
            a.low[at] = a.sym ? std::min(end, 0.0F) : -minimum;
            a.high[at] = a.sym ? std::max(end, 0.0F) : scale * block.last_code - minimum;
        }
    }
}

struct SuperSearch
{
    const SuperArrays& arrays;
    BITSMITH_INLINE void operator()(int64_t first, int64_t last) const
    {
        const int64_t columns = arrays.super_groups * arrays.width;
        // Lanes without a row stay zero.
        std::vector<float> buffer(static_cast<std::size_t>(columns * kLanes));
        for (int64_t row = first; row < last; row += kLanes) {
            const int64_t count = std::min(kLanes, last - row);
            for (int64_t index = 0; index < arrays.columns / columns; ++index) {
                search_block<kLanes>(arrays, row, count, index, buffer);
            }
        }
    }
};

} // namespace

void search_super_rows(const SuperArrays& arrays, int64_t first, int64_t last)
{
    run_on_isa(SuperSearch{arrays}, first, last);
}

} // namespace bitsmith::quant
