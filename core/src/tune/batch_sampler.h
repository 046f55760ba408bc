// SPDX-License-Identifier: GPL-3.0-or-later
// Which samples a step sees.
#pragma once

#include "base/random.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace bitsmith::tune {

/// Puts samples into a new order.
using Shuffle = std::function<void(std::vector<int64_t>&)>;

/// Shuffles with our own generator.
Shuffle own_shuffle(Random random);

/// Shuffles as the random.shuffle of a Python that was seeded with `seed` and has shuffled `before`
/// lists of `samples` entries: MT19937 (Matsumoto, Nishimura 1998) seeded by an array of one word.
Shuffle reference_shuffle(uint32_t seed, int64_t samples, int64_t before);

/// Shuffles that a sampler needs for `steps` batches.
int64_t shuffles_for(int64_t steps, int64_t samples, int64_t batch);

/// Draws batches without replacement from a shuffled list; when fewer than a batch remain, the list
/// is shuffled again and the rest is dropped. Source: algorithm.md 1.12.
class BatchSampler
{
public:
    /// Samples 0 .. samples-1; 0 < batch <= samples.
    BatchSampler(Shuffle shuffle, int64_t samples, int64_t batch);

    std::vector<int64_t> next();

private:
    Shuffle shuffle_;
    int64_t batch_;
    std::vector<int64_t> order_;
    std::size_t position_;
};

} // namespace bitsmith::tune
