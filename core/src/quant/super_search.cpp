// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/super_search.h"

#include "quant/range_search.h"
#include "quant/super_search_kernels.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::quant {

GroupRange search_separate(
    const at::Tensor& weight, const Scheme& scheme, const at::Tensor& importance)
{
    Scheme plain;
    plain.bits = scheme.bits;
    plain.group_size = scheme.group_size;
    plain.sym = scheme.sym;
    plain.data_type = scheme.sym ? DataType::Int : DataType::IntFloatZero;
    const GroupRange range = search_range(weight, plain, importance);
    return {range.min.clamp_max(0), range.max};
}

GroupRange search_supers(const GroupRange& found, const at::Tensor& weight, const Scheme& scheme,
    const at::Tensor& importance)
{
    const at::NoGradGuard no_grad;
    BITSMITH_ASSERT(scheme.super_group_size <= kMaxSuperGroups);
    const at::Tensor values = weight.to(at::kCPU, at::kFloat).contiguous();
    const at::Tensor h = normalized_importance(importance, weight.size(1));
    const auto copy = [](const at::Tensor& end) {
        return end.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
    };
    const GroupRange range{copy(found.min), copy(found.max)};
    const SuperArrays arrays{scheme.bits, scheme.sym, scheme.super_bits, weight.size(1),
        scheme.group_size, scheme.super_group_size, values.const_data_ptr<float>(),
        h.const_data_ptr<float>(), range.min.mutable_data_ptr<float>(),
        range.max.mutable_data_ptr<float>()};
    at::parallel_for(0, weight.size(0), 1,
        [&](int64_t first, int64_t last) { search_super_rows(arrays, first, last); });
    return {range.min.to(weight.device()), range.max.to(weight.device())};
}

} // namespace bitsmith::quant
