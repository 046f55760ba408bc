// SPDX-License-Identifier: GPL-3.0-or-later
// Which samples a step sees.
#pragma once

#include "base/random.h"

#include <cstdint>
#include <vector>

namespace bitsmith::tune {

/// Draws batches without replacement from a shuffled list; when fewer than a batch remain, the list
/// is shuffled again and the rest is dropped. Source: algorithm.md 1.12.
class BatchSampler
{
public:
    /// Samples 0 .. samples-1; 0 < batch <= samples.
    BatchSampler(Random random, int64_t samples, int64_t batch);

    std::vector<int64_t> next();

private:
    Random random_;
    int64_t batch_;
    std::vector<int64_t> order_;
    std::size_t position_;
};

} // namespace bitsmith::tune
