// SPDX-License-Identifier: GPL-3.0-or-later
// A two-layer MLP as a decoder block, for tests of what works on blocks in general.
#pragma once

#include "model/decoder_block.h"

#include <bitsmith/plan.h>

#include <ATen/ATen.h>

namespace bitsmith::test {

/// y = x + down(silu(up(x))), deterministic weights.
class TinyBlock final : public model::DecoderBlock
{
public:
    TinyBlock(int64_t hidden, int64_t inner, at::ScalarType type = at::kFloat)
    {
        at::manual_seed(11);
        // A few strong input channels, so that rounding errors matter unequally.
        const at::Tensor strong = at::rand({hidden}) * 2 + 0.2;
        up = model::Linear("blocks.0.up", (at::randn({inner, hidden}) * strong * 0.2).to(type), {});
        down = model::Linear("blocks.0.down", (at::randn({hidden, inner}) * 0.2).to(type),
            (at::randn({hidden}) * 0.1).to(type));
    }

    at::Tensor forward(const at::Tensor& hidden, const model::BlockShared&,
        model::KvCache* = nullptr) const override
    {
        return hidden + down.forward(at::silu(up.forward(hidden)));
    }
    std::vector<model::BlockLinear> linears() override
    {
        return {{&up, true, "up"}, {&down, true, "down"}};
    }
    std::vector<model::BlockNorm> norms() override { return {}; }

    model::Linear up, down;
};

inline Plan plan_for(TinyBlock& block, const Scheme& scheme)
{
    Plan plan;
    for (const model::BlockLinear& entry : block.linears()) {
        const model::Linear& linear = *entry.linear;
        plan.layers.push_back(
            {linear.name, 0, linear.weight.size(0), linear.weight.size(1), scheme, "test"});
    }
    return plan;
}

inline model::BlockShared shared_for(const at::Tensor& inputs)
{
    return model::BlockShared(inputs.size(1), 0, inputs.options());
}

} // namespace bitsmith::test
