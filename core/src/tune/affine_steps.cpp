// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/affine_steps.h"

#include "quant/double_codec.h"
#include "tune/affine_kernels.h"
#include "tune/grid_steps.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace bitsmith::tune {

namespace {

using quant::Affine;

/// Elements below which a thread is not worth waking.
constexpr int64_t kGrainElements = 1 << 15;

/// Whether integers under super-scales are the scales and minima of groups.
bool has_super_scales(const AffineState& state)
{
    return state.scheme.data_type == DataType::IntDouble;
}

/// Whether the kernels of affine schemes take this weight, K types among them.
bool runs_on_kernels(const AffineState& state)
{
    return state.weight.is_cpu() && !state.layout.per_tensor
        && (quant::is_affine(state.scheme) || has_super_scales(state));
}

/// The codec whose kernels take this weight; null for others.
const quant::GridCodec* grid_kernel_codec(const AffineState& state)
{
    return runs_on_grid_kernels(state) ? quant::find_grid_codec(state.scheme) : nullptr;
}

/// K types are affine once integers and super-scales are given.
Affine kernel_kind(const AffineState& s)
{
    if (has_super_scales(s)) {
        return s.scheme.sym ? Affine::Symmetric : Affine::FloatMinimum;
    }
    return quant::affine_kind(s.scheme);
}

template <class T>
AffineArrays<T> arrays_of(AffineState& s)
{
    const auto data_of = [](at::Tensor& x) {
        return x.defined() ? x.mutable_data_ptr<T>() : nullptr;
    };
    return {kernel_kind(s), s.scheme.bits, s.layout.columns, s.layout.groups, s.layout.width,
        s.weight.const_data_ptr<T>(), s.range.min.const_data_ptr<T>(),
        s.range.max.const_data_ptr<T>(), s.tuned.v.mutable_data_ptr<T>(),
        s.tuned.min_scale.mutable_data_ptr<T>(), s.tuned.max_scale.mutable_data_ptr<T>(),
        static_cast<T>(s.tuned.largest_factor()), s.scale.mutable_data_ptr<T>(),
        s.offset.mutable_data_ptr<T>(), s.values.mutable_data_ptr<T>(), data_of(s.gradient),
        data_of(s.scale_gradient), data_of(s.offset_gradient)};
}

template <class Function>
void over_rows(const AffineState& s, const Function& function)
{
    const int64_t grain = std::max<int64_t>(1, kGrainElements / s.layout.columns);
    at::parallel_for(0, s.layout.rows, grain, function);
}

/// Against the sign of the gradient of `leaf`, if it has any.
void move(at::Tensor& values, const at::Tensor& leaf, double rate)
{
    if (rate != 0 && leaf.grad().defined()) {
        values.sub_(leaf.grad().sign(), rate);
    }
}

void move_factors(quant::TunedValues& tuned, const quant::TunedValues& leaves, double rate)
{
    move(tuned.min_scale, leaves.min_scale, rate);
    move(tuned.max_scale, leaves.max_scale, rate);
    tuned.min_scale.clamp_(0, tuned.largest_factor());
    tuned.max_scale.clamp_(0, tuned.largest_factor());
}

/// Gradients of the two factors, [group_rows, groups].
struct FactorGradients
{
    at::Tensor min, max;
};

FactorGradients symmetric_gradients(
    const AffineState& s, const at::Tensor& scale_sum, const at::Tensor& raised)
{
    const at::Tensor below = -(s.range.min * s.tuned.min_scale);
    const at::Tensor above = s.range.max * s.tuned.max_scale;
    const at::Tensor slope = at::where(above < below, scale_sum, -scale_sum).masked_fill(raised, 0);
    return {(slope * -s.range.min).masked_fill(above > below, 0),
        (slope * s.range.max).masked_fill(above < below, 0)};
}

FactorGradients range_gradients(const AffineState& s, const at::Tensor& scale_sum,
    const at::Tensor& clamped_sum, const at::Tensor& raised)
{
    at::Tensor slope = scale_sum;
    if (quant::affine_kind(s.scheme) == Affine::Asymmetric) {
        slope = slope - clamped_sum * (s.range.min * s.tuned.min_scale / s.scale);
    }
    const double levels = std::ldexp(1.0, static_cast<int>(s.scheme.bits)) - 1;
    slope = slope.masked_fill(raised, 0) / levels;
    return {(clamped_sum - slope) * s.range.min, slope * s.range.max};
}

/// The numbers of groups that a K type holds under the present factors.
void set_super_scales(AffineState& s)
{
    const at::NoGradGuard no_grad;
    const quant::GroupNumbers numbers = quant::stored_numbers(s.range, s.scheme, s.tuned);
    s.scale = numbers.scale.contiguous();
    const double center = std::ldexp(1.0, static_cast<int>(s.scheme.bits) - 1);
    s.offset = s.scheme.sym ? at::full_like(s.scale, center) : numbers.minimum.neg().contiguous();
    s.scale_gradient = at::empty_like(s.scale);
    s.offset_gradient = at::empty_like(s.scale);
}

/// Between the factors and the numbers of groups there are few values; the codec's own derivative
/// does.
void step_super_scales(AffineState& s, double rate)
{
    quant::TunedValues leaves = s.tuned;
    for (at::Tensor* part : {&leaves.min_scale, &leaves.max_scale}) {
        *part = part->detach().requires_grad_();
    }
    {
        const at::AutoGradMode with_gradients(true);
        const quant::GroupNumbers numbers = quant::stored_numbers(s.range, s.scheme, leaves);
        at::Tensor loss = (numbers.scale * s.scale_gradient).sum();
        if (numbers.minimum.defined()) {
            loss = loss - (numbers.minimum * s.offset_gradient).sum();
        }
        loss.backward();
    }
    move_factors(s.tuned, leaves, rate);
}

/// Groups whose scale stands at the threshold, where its derivative is 0.
at::Tensor raised_scales(const AffineState& s)
{
    return s.scale.abs() <= quant::kScaleThreshold;
}

} // namespace

AffineState::AffineState(at::Tensor weight_, const Scheme& scheme_, const quant::TunedValues& start)
    : scheme(scheme_)
    , layout(scheme_, weight_.size(0), weight_.size(1))
    , weight(std::move(weight_))
{
    BITSMITH_ASSERT(weight.is_contiguous()
        && (weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kDouble));
    const at::TensorOptions options = weight.options();
    tuned = start;
    if (start.range.min.defined()) {
        tuned.range = {start.range.min.to(options), start.range.max.to(options)};
    }
    if (quant::has_tensor_scale(scheme) && !tuned.tensor_max.defined()) {
        tuned.tensor_max = weight.abs().amax().reshape({1});
    }
    range = tuned.range.min.defined() ? tuned.range : quant::group_range(layout.split(weight));
    tuned.v = start.v.defined()
        ? start.v.to(options, /*non_blocking=*/false, /*copy=*/true)
        : at::zeros({layout.group_rows, layout.groups, layout.width}, options);
    tuned.min_scale = at::ones({layout.group_rows, layout.groups}, options);
    tuned.max_scale = at::ones({layout.group_rows, layout.groups}, options);
    scale = at::empty({layout.group_rows, layout.groups}, options);
    offset = at::empty({layout.group_rows, layout.groups}, options);
    values = at::empty_like(weight);
}

void quantize_(AffineState& state)
{
    if (const quant::GridCodec* codec = grid_kernel_codec(state)) {
        return quantize_grid_(state, *codec);
    }
    if (!runs_on_kernels(state)) {
        return quant::is_affine(state.scheme) ? quantize_by_expressions_(state)
                                              : quantize_by_codec_(state);
    }
    if (has_super_scales(state)) {
        set_super_scales(state);
    }
    AT_DISPATCH_FLOATING_TYPES(state.weight.scalar_type(), "quantize_", [&] {
        const AffineArrays<scalar_t> arrays = arrays_of<scalar_t>(state);
        over_rows(state, [&](int64_t first, int64_t last) { quantize_rows(arrays, first, last); });
    });
}

void step_(AffineState& state, const StepSizes& sizes)
{
    BITSMITH_ASSERT(state.gradient.defined() && state.gradient.is_contiguous());
    if (const quant::GridCodec* codec = grid_kernel_codec(state)) {
        return step_grid_(state, *codec, sizes);
    }
    if (!runs_on_kernels(state)) {
        return quant::is_affine(state.scheme) ? step_by_expressions_(state, sizes)
                                              : step_by_codec_(state, sizes);
    }
    AT_DISPATCH_FLOATING_TYPES(state.weight.scalar_type(), "step_", [&] {
        const AffineArrays<scalar_t> arrays = arrays_of<scalar_t>(state);
        over_rows(state, [&](int64_t first, int64_t last) {
            step_rows(arrays, first, last,
                StepRates<scalar_t>{static_cast<scalar_t>(sizes.rounding),
                    static_cast<scalar_t>(sizes.range), sizes.open_ends});
        });
    });
    if (has_super_scales(state) && sizes.range != 0) {
        step_super_scales(state, sizes.range);
    }
}

void quantize_by_codec_(AffineState& state)
{
    const at::NoGradGuard no_grad;
    state.values =
        quant::codec_for(state.scheme).fake_quantize(state.weight, state.scheme, state.tuned);
}

void step_by_codec_(AffineState& state, const StepSizes& sizes)
{
    quant::TunedValues& tuned = state.tuned;
    quant::TunedValues leaves = tuned;
    for (at::Tensor* part : {&leaves.v, &leaves.min_scale, &leaves.max_scale}) {
        *part = part->detach().requires_grad_();
    }
    {
        const at::AutoGradMode with_gradients(true);
        quant::codec_for(state.scheme)
            .fake_quantize(state.weight, state.scheme, leaves)
            .backward(state.gradient);
    }
    move(tuned.v, leaves.v, sizes.rounding);
    move_factors(tuned, leaves, sizes.range);
}

void quantize_by_expressions_(AffineState& state)
{
    const quant::AffineParameters parameters =
        quant::affine_parameters(state.range, state.scheme, state.tuned);
    const at::Tensor codes = quant::affine_codes(
        state.layout.split(state.weight), parameters, state.tuned.v, state.scheme.bits);
    state.scale = parameters.scale;
    state.offset = parameters.minimum.defined() ? parameters.minimum : parameters.zero;
    state.values = state.layout.join(quant::affine_values(codes, parameters));
}

void step_by_expressions_(AffineState& state, const StepSizes& sizes)
{
    const bool has_minimum = quant::affine_kind(state.scheme) == Affine::FloatMinimum;
    const at::Tensor gradient = state.layout.split(state.gradient);
    const at::Tensor scale = state.scale.unsqueeze(-1), offset = state.offset.unsqueeze(-1);
    const at::Tensor weight = state.layout.split(state.weight);
    const at::Tensor steps = (has_minimum ? weight - offset : weight) / scale;
    at::Tensor codes = at::round(steps + state.tuned.v);
    if (!has_minimum) {
        codes += offset;
    }
    const double last = std::ldexp(1.0, static_cast<int>(state.scheme.bits)) - 1;
    const double slack = sizes.open_ends ? 1 : 0;
    const at::Tensor inside = (codes >= slack).logical_and_(codes <= last - slack);
    codes.clamp_(0, last);
    if (!has_minimum) {
        codes -= offset;
    }
    const at::Tensor clamped_sum = gradient.masked_fill(inside, 0).sum(2);
    const at::Tensor scale_sum =
        (gradient * (codes - steps.masked_fill(inside.logical_not(), 0))).sum(2);
    state.tuned.v.sub_(at::sign(gradient) * at::sign(scale) * inside, sizes.rounding);
    if (sizes.range == 0) {
        return;
    }
    const at::Tensor raised = raised_scales(state);
    const FactorGradients factors = quant::affine_kind(state.scheme) == Affine::Symmetric
        ? symmetric_gradients(state, scale_sum, raised)
        : range_gradients(state, scale_sum, clamped_sum, raised);
    const double largest = state.tuned.largest_factor();
    state.tuned.min_scale.sub_(factors.min.sign(), sizes.range).clamp_(0, largest);
    state.tuned.max_scale.sub_(factors.max.sign(), sizes.range).clamp_(0, largest);
}

} // namespace bitsmith::tune
