// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/activations.h"

#include "quant/rounding.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::quant {

namespace {

at::Tensor rounded(const at::Tensor& x, const Scheme& scheme, const at::Tensor& input_max)
{
    const at::NoGradGuard no_grad;
    const Scheme activations = activation_scheme(scheme);
    TunedValues values;
    if (!scheme.act_dynamic) {
        BITSMITH_ASSERT(input_max.defined());
        const at::Tensor largest = input_max.to(x.device(), at::kFloat).reshape({1, 1});
        values.range = {-largest, largest};
    } else if (input_max.defined()) {
        values.tensor_max = input_max.to(x.device(), at::kFloat).reshape({1});
    }
    const at::Tensor tokens = x.flatten(0, -2).to(at::kFloat);
    return codec_for(activations)
        .fake_quantize(tokens, activations, values)
        .view(x.sizes())
        .to(x.scalar_type());
}

} // namespace

at::Tensor fake_quantize_activations(
    const at::Tensor& x, const Scheme& scheme, const at::Tensor& input_max)
{
    return x.numel() == 0 ? x : pass_gradient(rounded(x, scheme, input_max), x);
}

} // namespace bitsmith::quant
