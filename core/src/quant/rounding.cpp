// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/rounding.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace bitsmith::quant {

namespace {

// x + (round(x) - x) would be the usual way to write these; it turns an infinity into NaN and is
// not always the rounded value bit for bit.
struct RoundFunction : torch::autograd::Function<RoundFunction>
{
    static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x)
    {
        return at::round(x);
    }
    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext*, const torch::autograd::variable_list& gradients)
    {
        return {gradients[0]};
    }
};

struct HalfFunction : torch::autograd::Function<HalfFunction>
{
    static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x)
    {
        return x.to(at::kHalf).to(x.scalar_type());
    }
    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext*, const torch::autograd::variable_list& gradients)
    {
        return {gradients[0]};
    }
};

} // namespace

at::Tensor round_ste(const at::Tensor& x)
{
    return RoundFunction::apply(x);
}

at::Tensor half_ste(const at::Tensor& x)
{
    return HalfFunction::apply(x);
}

} // namespace bitsmith::quant
