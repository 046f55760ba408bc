// SPDX-License-Identifier: GPL-3.0-or-later
// How many samples each source of a mixture gives, which are held out, and in which order they lie.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace bitsmith::calib {

/// What a source has and what was asked of it, in samples.
struct Supply
{
    int64_t available = 0;
    std::optional<int64_t> num;
};

/// Samples of each source, `nsamples` together where there are so many. A source with `num` gives
/// that many; the others share what is left equally, and what one of them lacks goes to the others.
/// Source: algorithm.md 11.5, without its defects.
std::vector<int64_t> shares(const std::vector<Supply>& supplies, int64_t nsamples);

/// How many of `counts` samples of each source are held out: `share` of them, rounded down, but of
/// several sources at least one each that has two or more.
std::vector<int64_t> held_out(const std::vector<int64_t>& counts, double share);

/// The source of every position when `counts` samples of each are mixed evenly: any leading part
/// has of each source its share, to less than one sample for two sources.
std::vector<std::size_t> interleaved(const std::vector<int64_t>& counts);

} // namespace bitsmith::calib
