// SPDX-License-Identifier: GPL-3.0-or-later
// Small random generator of our own, so that samples do not depend on a library's version.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace bitsmith {

/// SplitMix64: 64 bits of state, every seed is fine. Source: Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators" (OOPSLA 2014).
class Random
{
public:
    explicit Random(uint64_t seed)
        : state_(seed)
    { }
    /// Generator for one purpose of a run.
    Random(uint64_t seed, std::string_view purpose, uint64_t index);

    uint64_t next();
    /// Uniform in [0, n), without bias; n > 0.
    uint64_t below(uint64_t n);
    /// Uniform in [0, 1).
    double uniform();

    template <class T>
    void shuffle(std::vector<T>& items)
    {
        for (std::size_t i = items.size(); i > 1; --i) {
            std::swap(items[i - 1], items[static_cast<std::size_t>(below(i))]);
        }
    }

private:
    uint64_t state_;
};

} // namespace bitsmith
