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

/// Keys up to which products of matrices are faster than the fused kernel, which widens bf16 on the
/// CPU: forward and back on 2048 tokens, 9 heads of 64, in 18 instead of 55 ms with 256 keys, in 33
/// instead of 89 with 512. With 2048 they are as fast, and the scores fill the memory.
constexpr int64_t kFewKeys = 512;

bool prefers_products(const at::Tensor& q, const at::Tensor& k)
{
    return q.is_cpu() && q.scalar_type() == at::kBFloat16 && k.size(2) <= kFewKeys;
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
    if (spec.softcap > 0 || sinks.defined() || prefers_products(heads.q, heads.k)) {
        return attend_by_products(heads, shared.impl().additive_mask(spec.mask, spec.window));
    }
    const AttentionMask& mask = shared.impl().mask(spec.mask, spec.window);
    std::optional<at::Tensor> additive;
    if (mask.additive.defined()) {
        additive = mask.additive;
    }
    return at::scaled_dot_product_attention(heads.q, repeat_heads(heads.k, spec.n_heads),
        repeat_heads(heads.v, spec.n_heads), additive, /*dropout_p=*/0, mask.causal, spec.scale);
}

at::Tensor Attention::attend_by_products(const Heads& heads, const at::Tensor& mask) const
{
    // The query heads of one key/value head are rows of one matrix: nothing is repeated.
    const int64_t batch = heads.q.size(0), tokens = heads.q.size(2), keys = heads.k.size(2);
    const int64_t groups = heads.k.size(1), members = spec.n_heads / groups;
    const at::Tensor queries =
        (heads.q * spec.scale).reshape({batch, groups, members * tokens, heads.q.size(3)});
    // Contiguous as in a cache, so that both give the same sums.
    const at::Tensor k = heads.k.contiguous(), v = heads.v.contiguous();
    at::Tensor scores =
        at::matmul(queries, k.transpose(2, 3)).view({batch, groups, members, tokens, keys});
    if (spec.softcap > 0) {
        scores = (scores / spec.softcap).tanh() * spec.softcap;
    }
    if (mask.defined()) {
        scores.add_(mask.dim() == 4 ? mask.unsqueeze(2) : mask);
    }
    if (sinks.defined()) {
        const at::Tensor column = sinks.view({1, groups, members, 1, 1});
        scores = at::cat({scores, column.expand({batch, -1, -1, tokens, 1})}, -1);
    }
    // Sums are taken in fp32 whatever the type.
    const at::Tensor weights = scores.softmax(-1).narrow(-1, 0, keys);
    return at::matmul(weights.reshape({batch, groups, members * tokens, keys}), v)
        .view({batch, spec.n_heads, tokens, v.size(3)});
}

} // namespace bitsmith::model
