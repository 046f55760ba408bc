// SPDX-License-Identifier: GPL-3.0-or-later
// Blocks one after the other, the next one read while the caller works on the current one.
#pragma once

#include "model/causal_lm.h"

#include <future>

namespace bitsmith::model {

/// Holds at most one block that the caller has not asked for yet. `model` must outlive it.
class BlockStream
{
public:
    /// Gives the blocks from `first` to the last one.
    BlockStream(const CausalLm& model, int64_t first);

    /// The next block; waits until it is read. Throws what reading it threw.
    std::unique_ptr<DecoderBlock> next();

private:
    void fetch();

    const CausalLm& model_;
    int64_t index_;
    std::future<std::unique_ptr<DecoderBlock>> ahead_; ///< of block index_, when there is one
};

} // namespace bitsmith::model
