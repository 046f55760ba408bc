// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/block_stream.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

BlockStream::BlockStream(const CausalLm& model, int64_t first)
    : model_(model)
    , index_(first)
{
    fetch();
}

std::unique_ptr<DecoderBlock> BlockStream::next()
{
    BITSMITH_ASSERT(ahead_.valid());
    std::unique_ptr<DecoderBlock> block = ahead_.get();
    ++index_;
    fetch();
    return block;
}

void BlockStream::fetch()
{
    if (index_ < model_.n_blocks()) {
        ahead_ = std::async(std::launch::async, [&model = model_, index = index_] {
            const at::NoGradGuard no_grad; // of this thread
            return model.load_block(index);
        });
    }
}

} // namespace bitsmith::model
