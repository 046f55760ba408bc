// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_codec.h"

#include "quant/grid_kernels.h"
#include "quant/range_search.h"
#include "quant/rounding.h"
#include "quant/row_slices.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::quant {

namespace {

TunedValues with_tensor_max(TunedValues tuned, const at::Tensor& weight)
{
    if (!tuned.tensor_max.defined()) {
        tuned.tensor_max = weight.detach().abs().amax().to(at::kFloat).reshape({1});
    }
    return tuned;
}

} // namespace

GridScales GridCodec::group_scales(const GroupRange& range, const Scheme& scheme,
    const TunedValues& tuned, const at::Tensor& max_scale, bool wants_stored) const
{
    at::Tensor largest = at::maximum(-range.min, range.max);
    if (max_scale.defined()) {
        largest = largest * clamp_ste(max_scale, 0, tuned.largest_factor());
    }
    return scales(largest, scheme, tuned.tensor_max, wants_stored);
}

at::Tensor GridCodec::group_factors(const GroupRange& range, const Scheme& scheme,
    const TunedValues& tuned, const at::Tensor& max_scale) const
{
    return group_scales(range, scheme, tuned, max_scale, false).factor;
}

GridCodec::Quantized GridCodec::quantize_groups(const at::Tensor& weight, const Scheme& scheme,
    const TunedValues& tuned, bool wants_stored) const
{
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    const at::Tensor grouped = layout.split(weight);
    GridScales scales = group_scales(tuned.range.min.defined() ? tuned.range : group_range(grouped),
        scheme, tuned, tuned.max_scale, wants_stored);
    const at::Tensor factor = scales.factor.unsqueeze(-1);
    const at::Tensor is_zero = factor == 0;
    // Not divided by zero in the first place: masked, its derivative would still not be a number.
    const at::Tensor scaled = at::where(is_zero, 0.0, grouped / at::where(is_zero, 1.0, factor));
    const at::Tensor elements =
        at::where(is_zero, 0.0, grid(scheme).round(scaled, tuned.v, tuned.v_in_scales));
    return {layout, std::move(scales), elements};
}

at::Tensor GridCodec::fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    check_shapes(weight, scheme, tuned);
    const Quantized result = quantize_groups(
        weight, scheme, has_tensor_scale(scheme) ? with_tensor_max(tuned, weight) : tuned, false);
    return result.layout.join(result.elements * result.scales.factor.unsqueeze(-1));
}

QuantizedWeight GridCodec::encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    const at::NoGradGuard no_grad;
    check_shapes(weight, scheme, tuned);
    const TunedValues fixed = has_tensor_scale(scheme) ? with_tensor_max(tuned, weight) : tuned;
    QuantizedWeight result = encode_by_rows(
        weight, scheme, fixed, [&](const at::Tensor& rows, const TunedValues& values) {
            const Quantized part = quantize_groups(rows, scheme, values, true);
            QuantizedWeight encoded;
            encoded.scheme = scheme;
            encoded.input_max = values.input_max;
            encoded.codes = part.layout.join(grid(scheme).codes(part.elements));
            encoded.scales = part.scales.stored;
            return encoded;
        });
    if (has_tensor_scale(scheme)) {
        result.super_scales = tensor_scale(fixed.tensor_max);
    }
    return result;
}

GroupRange GridCodec::search(const at::Tensor& weight, const Scheme& scheme,
    const at::Tensor& importance, const at::Tensor& tensor_max) const
{
    const at::NoGradGuard no_grad;
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    if (trials().empty()) {
        return {};
    }
    const at::Tensor values = weight.to(at::kCPU, at::kFloat).contiguous();
    const at::Tensor h = normalized_importance(importance, layout.columns);
    const GroupRange own = group_range(layout.split(values));
    TunedValues tuned;
    tuned.tensor_max = tensor_max.defined() ? tensor_max.cpu() : tensor_max;
    tuned = with_tensor_max(std::move(tuned), values);
    const at::Tensor largest = at::maximum(-own.min, own.max);
    at::Tensor best, error = at::empty_like(largest), multiple = at::ones_like(largest);
    for (const double trial : trials()) {
        const at::Tensor factor =
            scales(largest * trial, scheme, tuned.tensor_max, false).factor.contiguous();
        const GridArrays arrays{grid(scheme), layout.columns, layout.groups, layout.width,
            values.const_data_ptr<float>(), factor.const_data_ptr<float>(), nullptr};
        at::parallel_for(0, layout.rows, 1, [&](int64_t first, int64_t last) {
            grid_error_rows(
                arrays, h.const_data_ptr<float>(), error.mutable_data_ptr<float>(), first, last);
        });
        if (best.defined()) {
            multiple = at::where(error < best, trial, multiple);
            best = at::minimum(error, best);
        } else {
            best = error.clone();
        }
    }
    const c10::Device device = weight.device();
    return {(own.min * multiple).to(device), (own.max * multiple).to(device)};
}

at::Tensor GridCodec::decode(const QuantizedWeight& weight) const
{
    const at::NoGradGuard no_grad;
    const GroupLayout layout(weight.scheme, weight.rows(), weight.columns());
    const at::Tensor elements = layout.split(grid(weight.scheme).values(weight.codes));
    return layout.join(elements * factors(weight).reshape({layout.group_rows, layout.groups, 1}));
}

CodeGrid GridCodec::code_grid(const QuantizedWeight& frame) const
{
    const GroupLayout layout(frame.scheme, frame.rows(), frame.columns());
    CodeGrid result;
    result.scale = layout.per_row(factors(frame));
    result.elements = &grid(frame.scheme);
    return result;
}

} // namespace bitsmith::quant
