// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/mixture.h"

#include <algorithm>
#include <numeric>

namespace bitsmith::calib {

std::vector<int64_t> shares(const std::vector<Supply>& supplies, int64_t nsamples)
{
    std::vector<int64_t> counts(supplies.size(), 0);
    std::vector<std::size_t> open; // sources without a number of their own
    int64_t left = nsamples;
    for (std::size_t i = 0; i < supplies.size(); ++i) {
        if (supplies[i].num) {
            counts[i] = std::min({*supplies[i].num, supplies[i].available, left});
            left -= counts[i];
        } else {
            open.push_back(i);
        }
    }
    // The smallest first: what it lacks is still to be shared.
    std::stable_sort(open.begin(), open.end(), [&](std::size_t a, std::size_t b) {
        return supplies[a].available < supplies[b].available;
    });
    for (std::size_t i = 0; i < open.size(); ++i) {
        const int64_t share = left / static_cast<int64_t>(open.size() - i);
        counts[open[i]] = std::min(supplies[open[i]].available, share);
        left -= counts[open[i]];
    }
    return counts;
}

std::vector<int64_t> held_out(const std::vector<int64_t>& counts, double share)
{
    std::vector<int64_t> out;
    for (const int64_t count : counts) {
        const auto part = static_cast<int64_t>(static_cast<double>(count) * share);
        const bool needs_one = share > 0 && counts.size() > 1 && count > 1;
        out.push_back(needs_one ? std::max<int64_t>(part, 1) : part);
    }
    return out;
}

std::vector<std::size_t> interleaved(const std::vector<int64_t>& counts)
{
    const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    std::vector<int64_t> taken(counts.size(), 0);
    std::vector<std::size_t> order;
    for (int64_t position = 1; position <= total; ++position) {
        // Times `total`: how far a source is behind its share of the positions so far.
        const auto lag = [&](std::size_t i) { return counts[i] * position - taken[i] * total; };
        std::size_t next = 0;
        for (std::size_t i = 1; i < counts.size(); ++i) {
            next = lag(i) > lag(next) ? i : next;
        }
        ++taken[next];
        order.push_back(next);
    }
    return order;
}

} // namespace bitsmith::calib
