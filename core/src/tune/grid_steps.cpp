// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/grid_steps.h"

#include "quant/grid_kernels.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

namespace {

/// Elements below which a thread is not worth waking.
constexpr int64_t kGrainElements = 1 << 15;

quant::GridArrays arrays_of(AffineState& s, const quant::GridCodec& codec)
{
    return {codec.grid(s.scheme), s.layout.columns, s.layout.groups, s.layout.width,
        s.weight.const_data_ptr<float>(), s.scale.const_data_ptr<float>(),
        s.tuned.v.mutable_data_ptr<float>()};
}

template <class Function>
void over_rows(const AffineState& s, const Function& function)
{
    at::parallel_for(
        0, s.layout.rows, std::max<int64_t>(1, kGrainElements / s.layout.columns), function);
}

/// What the range was searched for or found in, with the factors of `tuned` applied.
at::Tensor factors_of(
    const AffineState& s, const quant::GridCodec& codec, const at::Tensor& max_scale)
{
    return codec.group_factors(s.range, s.scheme, s.tuned, max_scale);
}

} // namespace

bool runs_on_grid_kernels(const AffineState& state)
{
    return state.weight.is_cpu() && state.weight.scalar_type() == at::kFloat
        && !state.layout.per_tensor && state.layout.tile_rows == 1 && !state.tuned.v_in_scales;
}

void quantize_grid_(AffineState& state, const quant::GridCodec& codec)
{
    state.scale = factors_of(state, codec, state.tuned.max_scale).contiguous();
    const quant::GridArrays arrays = arrays_of(state, codec);
    float* values = state.values.mutable_data_ptr<float>();
    over_rows(state, [&](int64_t first, int64_t last) {
        quant::grid_quantize_rows(arrays, values, first, last);
    });
}

void step_grid_(AffineState& state, const quant::GridCodec& codec, const StepSizes& sizes)
{
    const quant::GridArrays arrays = arrays_of(state, codec);
    at::Tensor factor_gradient = at::empty_like(state.scale);
    const float* gradient = state.gradient.const_data_ptr<float>();
    float* sums = factor_gradient.mutable_data_ptr<float>();
    over_rows(state, [&](int64_t first, int64_t last) {
        quant::grid_step_rows(
            arrays, gradient, sums, static_cast<float>(sizes.rounding), first, last);
    });
    if (sizes.range == 0) {
        return;
    }
    // From the factors on to the multiples of the range there are few values; the codec's own
    // derivative does.
    const at::Tensor leaf = state.tuned.max_scale.detach().requires_grad_();
    {
        const at::AutoGradMode with_gradients(true);
        factors_of(state, codec, leaf).backward(factor_gradient);
    }
    state.tuned.max_scale.sub_(leaf.grad().sign(), sizes.range)
        .clamp_(0, state.tuned.largest_factor());
}

} // namespace bitsmith::tune
