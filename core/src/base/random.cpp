// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/random.h"

#include <bitsmith/error.h>

namespace bitsmith {

namespace {

uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

} // namespace

Random::Random(uint64_t seed, std::string_view purpose, uint64_t index)
    : state_(mix(seed))
{
    for (const char c : purpose) {
        state_ = mix(state_ ^ static_cast<unsigned char>(c));
    }
    state_ = mix(state_ ^ index);
}

uint64_t Random::next()
{
    state_ += 0x9E3779B97F4A7C15ULL;
    return mix(state_);
}

uint64_t Random::below(uint64_t n)
{
    BITSMITH_ASSERT(n > 0);
    const uint64_t first_biased = UINT64_MAX - UINT64_MAX % n;
    uint64_t value = next();
    while (value >= first_biased) {
        value = next();
    }
    return value % n;
}

double Random::uniform()
{
    return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

} // namespace bitsmith
