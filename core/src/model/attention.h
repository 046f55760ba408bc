// SPDX-License-Identifier: GPL-3.0-or-later
// Grouped-query attention (models.md 1.4 to 1.6).
#pragma once

#include "model/block_shared.h"
#include "model/linear.h"
#include "model/norm.h"

namespace bitsmith::model {

class Attention
{
public:
    AttentionSpec spec;
    Linear qkv; ///< rows q, k, v of a fused projection; then q, k and v are undefined
    Linear q, k, v, o;
    Norm q_norm, k_norm; ///< per head, before the rotary embedding (Q1)
    at::Tensor sinks; ///< [heads]: one more logit per row, dropped after the softmax

    /// x [batch, tokens, hidden] -> same shape. Appends to `cache` when one is given; `transform`:
    /// see CacheTransform, or null.
    at::Tensor forward(const at::Tensor& x, const BlockShared& shared, KvCache* cache,
        CacheTransform* transform) const;

private:
    struct Heads
    {
        at::Tensor q, k, v;
    };
    Heads project(const at::Tensor& x) const;
    at::Tensor attend(const Heads& heads, const BlockShared& shared) const;
    /// The formula of models.md 1.4 with all scores in memory: for softcap and sinks, and where it is
    /// faster.
    at::Tensor attend_by_products(const Heads& heads, const at::Tensor& mask) const;
};

} // namespace bitsmith::model
