// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/moe.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

namespace {

Routing softmax_top_k(const RouterSpec& spec, const at::Tensor& logits)
{
    auto [weights, experts] = logits.softmax(-1, at::kFloat).topk(spec.top_k, -1);
    if (spec.renormalize) {
        weights = weights / weights.sum({-1}, /*keepdim=*/true);
    }
    return {weights, experts};
}

Routing top_k_softmax(const RouterSpec& spec, const at::Tensor& logits)
{
    auto [chosen, experts] = logits.topk(spec.top_k, -1);
    return {chosen.softmax(-1, at::kFloat), experts};
}

} // namespace

Routing route(const RouterSpec& spec, const at::Tensor& logits)
{
    Routing routing;
    switch (spec.kind) {
    case Router::SoftmaxTopK:
        routing = softmax_top_k(spec, logits);
        break;
    case Router::TopKSoftmax:
        routing = top_k_softmax(spec, logits);
        break;
    default:
        fail(ErrorCode::UnsupportedModel, "this router rule is not implemented",
            {{"field", "router"}, {"found", std::to_string(static_cast<int>(spec.kind))}});
    }
    if (!spec.weights_fp32) {
        routing.weights = routing.weights.to(logits.scalar_type());
    }
    return routing;
}

at::Tensor Moe::forward(const at::Tensor& x) const
{
    const at::Tensor flat = x.flatten(0, -2);
    const Routing routing = route(spec, router.forward(flat));
    // One pass over the choices, sorted by expert: which tokens each expert has, in order.
    const at::Tensor choices = routing.experts.flatten();
    const at::Tensor order = choices.argsort(/*stable=*/true, 0, /*descending=*/false);
    const at::Tensor counts = at::bincount(choices, {}, static_cast<int64_t>(experts.size())).cpu();
    const at::Tensor tokens = order.floor_divide(spec.top_k);
    const at::Tensor weights = routing.weights.flatten().index_select(0, order).unsqueeze(1);
    at::Tensor out = at::zeros_like(flat);
    int64_t begin = 0;
    for (std::size_t e = 0; e < experts.size(); ++e) {
        const int64_t count = counts.data_ptr<int64_t>()[e];
        if (count > 0) {
            const at::Tensor rows = tokens.narrow(0, begin, count);
            const at::Tensor y =
                experts[e].forward(flat.index_select(0, rows)) * weights.narrow(0, begin, count);
            out.index_add_(0, rows, y.to(out.scalar_type()));
        }
        begin += count;
    }
    return out.view(x.sizes());
}

} // namespace bitsmith::model
