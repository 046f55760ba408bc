// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/attention.h"

#include <ATen/ATen.h>

namespace bitsmith::model {

namespace {

/// [batch, tokens, heads · dim] -> [batch, heads, tokens, dim], a view.
at::Tensor split_heads(const at::Tensor& x, int64_t heads)
{
    return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

/// Repeats every key/value head for the query heads of its group.
at::Tensor repeat_heads(const at::Tensor& x, int64_t n_heads)
{
    if (x.size(1) == n_heads) {
        return x;
    }
    const int64_t group = n_heads / x.size(1);
    return x.unsqueeze(2)
        .expand({x.size(0), x.size(1), group, x.size(2), x.size(3)})
        .reshape({x.size(0), n_heads, x.size(2), x.size(3)});
}

} // namespace

at::Tensor Attention::forward(
    const at::Tensor& x, const BlockShared& shared, KvCache* cache, CacheTransform* transform) const
{
    Heads heads = project(x);
    const RotaryTable& table = shared.impl().rotary(spec.rotary, spec.head_dim);
    if (table.defined()) {
        heads.q = apply_rotary(heads.q, table);
        heads.k = apply_rotary(heads.k, table);
    }
    if (transform) {
        transform->apply(heads.k, heads.v);
    }
    if (cache) {
        cache->append(heads.k, heads.v);
        heads.k = cache->keys;
        heads.v = cache->values;
    }
    const at::Tensor merged = attend(heads, shared).transpose(1, 2).flatten(2);
    return o.forward(merged);
}

Attention::Heads Attention::project(const at::Tensor& x) const
{
    Heads heads;
    if (qkv.defined()) {
        const at::Tensor all = qkv.forward(x);
        const int64_t q_rows = spec.n_heads * spec.head_dim;
        const int64_t k_rows = spec.n_kv_heads * spec.head_dim;
        const int64_t v_rows = spec.n_kv_heads * spec.value_dim;
        heads.q = all.narrow(-1, 0, q_rows);
        heads.k = all.narrow(-1, q_rows, k_rows);
        heads.v = all.narrow(-1, q_rows + k_rows, v_rows);
    } else {
        heads = {q.forward(x), k.forward(x), v.forward(x)};
    }
    heads.q = split_heads(heads.q, spec.n_heads);
    heads.k = split_heads(heads.k, spec.n_kv_heads);
    heads.v = split_heads(heads.v, spec.n_kv_heads);
    if (q_norm.defined()) {
        heads.q = q_norm.forward(heads.q);
        heads.k = k_norm.forward(heads.k);
    }
    return heads;
}

at::Tensor Attention::attend(const Heads& heads, const BlockShared& shared) const
{
    if (spec.softcap > 0 || sinks.defined()) {
        return attend_eager(heads, shared.impl().additive_mask(spec.mask, spec.window));
    }
    const AttentionMask& mask = shared.impl().mask(spec.mask, spec.window);
    std::optional<at::Tensor> additive;
    if (mask.additive.defined()) {
        additive = mask.additive;
    }
    return at::scaled_dot_product_attention(heads.q, repeat_heads(heads.k, spec.n_heads),
        repeat_heads(heads.v, spec.n_heads), additive, /*dropout_p=*/0, mask.causal, spec.scale);
}

at::Tensor Attention::attend_eager(const Heads& heads, const at::Tensor& mask) const
{
    const at::Tensor keys = repeat_heads(heads.k, spec.n_heads);
    const at::Tensor values = repeat_heads(heads.v, spec.n_heads);
    at::Tensor scores = at::matmul(heads.q, keys.transpose(2, 3)) * spec.scale;
    if (spec.softcap > 0) {
        scores = (scores / spec.softcap).tanh() * spec.softcap;
    }
    if (mask.defined()) {
        scores = scores + mask;
    }
    if (sinks.defined()) {
        const at::Tensor column =
            sinks.view({1, -1, 1, 1}).expand({scores.size(0), -1, scores.size(2), 1});
        scores = at::cat({scores, column}, -1);
    }
    const at::ScalarType type = spec.softmax_in_fp32 ? at::kFloat : scores.scalar_type();
    at::Tensor weights = scores.softmax(-1, type).to(values.scalar_type());
    if (sinks.defined()) {
        weights = weights.narrow(-1, 0, weights.size(-1) - 1);
    }
    return at::matmul(weights, values);
}

} // namespace bitsmith::model
