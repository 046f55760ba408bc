// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/batch_sampler.h"

#include <bitsmith/error.h>

#include <array>
#include <bit>
#include <numeric>

namespace bitsmith::tune {

namespace {

/// The generator of Python's module random.
class MersenneTwister
{
public:
    explicit MersenneTwister(uint32_t seed)
    {
        fill(19650218);
        // Seeding by an array of the one word `seed`.
        std::size_t i = 1;
        const auto advance = [&] {
            if (++i == kWords) {
                state_[0] = state_[kWords - 1];
                i = 1;
            }
        };
        for (std::size_t k = 0; k < kWords; ++k) {
            state_[i] = (state_[i] ^ (scrambled(i) * 1664525U)) + seed;
            advance();
        }
        for (std::size_t k = 0; k < kWords - 1; ++k) {
            state_[i] = (state_[i] ^ (scrambled(i) * 1566083941U)) - static_cast<uint32_t>(i);
            advance();
        }
        state_[0] = 0x80000000U;
    }

    uint32_t next()
    {
        if (position_ == kWords) {
            twist();
        }
        uint32_t y = state_[position_++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C5680U;
        y ^= (y << 15) & 0xEFC60000U;
        return y ^ (y >> 18);
    }

    /// Uniform in [0, n): as many high bits as n has, drawn until they are small enough.
    uint32_t below(uint32_t n)
    {
        const int unused = std::countl_zero(n);
        uint32_t value = next() >> unused;
        while (value >= n) {
            value = next() >> unused;
        }
        return value;
    }

private:
    static constexpr std::size_t kWords = 624, kMiddle = 397;

    void fill(uint32_t seed)
    {
        state_[0] = seed;
        for (std::size_t i = 1; i < kWords; ++i) {
            state_[i] = scrambled(i) * 1812433253U + static_cast<uint32_t>(i);
        }
    }

    uint32_t scrambled(std::size_t i) const { return state_[i - 1] ^ (state_[i - 1] >> 30); }

    void twist()
    {
        for (std::size_t i = 0; i < kWords; ++i) {
            const uint32_t y = (state_[i] & 0x80000000U) | (state_[(i + 1) % kWords] & 0x7FFFFFFFU);
            state_[i] =
                state_[(i + kMiddle) % kWords] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908B0DFU : 0);
        }
        position_ = 0;
    }

    std::array<uint32_t, kWords> state_{};
    std::size_t position_ = kWords;
};

} // namespace

Shuffle own_shuffle(Random random)
{
    return [random](std::vector<int64_t>& order) mutable { random.shuffle(order); };
}

Shuffle reference_shuffle(uint32_t seed, int64_t samples, int64_t before)
{
    const auto shuffle = [twister = MersenneTwister(seed)](std::vector<int64_t>& order) mutable {
        for (std::size_t i = order.size(); i > 1; --i) {
            std::swap(order[i - 1], order[twister.below(static_cast<uint32_t>(i))]);
        }
    };
    Shuffle advanced = shuffle;
    std::vector<int64_t> unused(static_cast<std::size_t>(samples));
    for (int64_t i = 0; i < before; ++i) {
        advanced(unused);
    }
    return advanced;
}

int64_t shuffles_for(int64_t steps, int64_t samples, int64_t batch)
{
    const int64_t per_shuffle = samples / batch;
    return (steps + per_shuffle - 1) / per_shuffle;
}

BatchSampler::BatchSampler(Shuffle shuffle, int64_t samples, int64_t batch)
    : shuffle_(std::move(shuffle))
    , batch_(batch)
    , order_(static_cast<std::size_t>(samples))
    , position_(order_.size())
{
    BITSMITH_ASSERT(batch > 0 && batch <= samples);
    std::iota(order_.begin(), order_.end(), int64_t{0});
}

std::vector<int64_t> BatchSampler::next()
{
    const std::size_t count = static_cast<std::size_t>(batch_);
    if (order_.size() - position_ < count) {
        shuffle_(order_);
        position_ = 0;
    }
    const auto first = order_.begin() + static_cast<std::ptrdiff_t>(position_);
    position_ += count;
    return {first, first + batch_};
}

} // namespace bitsmith::tune
