// SPDX-License-Identifier: GPL-3.0-or-later
// A block of 16-bit numbers that computes in fp32 for a while.
#pragma once

#include "model/decoder_block.h"

#include <c10/core/ScalarType.h>

#include <utility>

namespace bitsmith::tune {

/// From construction to narrow() the linear layers of a block hold their weights in fp32, so that
/// inputs of that type stay fp32 all the way; norms and other vectors are promoted where they meet
/// them.
class WideBlock
{
public:
    /// Whether `block` has layers of fewer than 32 bits.
    static bool is_narrow(model::DecoderBlock& block);

    /// `block` must outlive this; `tokens` per sample.
    WideBlock(model::DecoderBlock& block, int64_t tokens);
    /// Gives the weights that the layers then hold their former element types.
    void narrow();

    /// hidden [batch, tokens, hidden] of any element type -> the same shape in fp32.
    at::Tensor forward(const at::Tensor& hidden) const;

private:
    model::DecoderBlock& block_;
    std::vector<std::pair<model::Linear*, c10::ScalarType>> layers_;
    model::BlockShared shared_;
};

} // namespace bitsmith::tune
