// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/range_search.h"

#include "quant/affine.h"
#include "quant/range_search_kernels.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::quant {

at::Tensor normalized_importance(const at::Tensor& given, int64_t columns)
{
    if (!given.defined()) {
        return at::ones({columns}, at::kFloat);
    }
    BITSMITH_ASSERT(given.sizes() == at::IntArrayRef({columns}));
    const at::Tensor values = given.to(at::kCPU, at::kFloat);
    const double mean = values.mean().item<double>();
    // Normalised, so that sums over a group stay in range whatever the activations are.
    return mean > 0 ? (values / mean + 1e-6).contiguous() : at::ones({columns}, at::kFloat);
}

GroupRange search_range(
    const at::Tensor& weight, const Scheme& scheme, const at::Tensor& importance)
{
    const at::NoGradGuard no_grad;
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    const at::Tensor values = weight.to(at::kCPU, at::kFloat).contiguous();
    at::Tensor h = normalized_importance(importance, layout.columns);
    if (layout.per_tensor) {
        h = h.repeat({layout.rows});
    }
    GroupRange range{at::empty({layout.group_rows, layout.groups}, at::kFloat),
        at::empty({layout.group_rows, layout.groups}, at::kFloat)};
    const int64_t columns = values.numel() / layout.group_rows;
    const SearchArrays arrays{affine_kind(scheme), scheme.bits, columns, layout.groups,
        layout.width, values.const_data_ptr<float>(), h.const_data_ptr<float>(),
        range.min.mutable_data_ptr<float>(), range.max.mutable_data_ptr<float>()};
    at::parallel_for(0, layout.group_rows, 1,
        [&](int64_t first, int64_t last) { search_rows(arrays, first, last); });
    return {range.min.to(weight.device()), range.max.to(weight.device())};
}

} // namespace bitsmith::quant
