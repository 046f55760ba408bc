// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/batch_sampler.h"

#include <bitsmith/error.h>

#include <numeric>

namespace bitsmith::tune {

BatchSampler::BatchSampler(Random random, int64_t samples, int64_t batch)
    : random_(random)
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
        random_.shuffle(order_);
        position_ = 0;
    }
    const auto first = order_.begin() + static_cast<std::ptrdiff_t>(position_);
    position_ += count;
    return {first, first + batch_};
}

} // namespace bitsmith::tune
