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

struct PassFunction : torch::autograd::Function<PassFunction>
{
    static at::Tensor forward(
        torch::autograd::AutogradContext*, const at::Tensor& value, const at::Tensor&)
    {
        return value.clone();
    }
    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext*, const torch::autograd::variable_list& gradients)
    {
        return {at::Tensor(), gradients[0]};
    }
};

struct ClampFunction : torch::autograd::Function<ClampFunction>
{
    static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
        double low, double high, bool through)
    {
        if (!through) {
            context->save_for_backward({x.ge(low).logical_and_(x.le(high))});
        }
        return x.clamp(low, high);
    }
    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, const torch::autograd::variable_list& gradients)
    {
        const torch::autograd::variable_list saved = context->get_saved_variables();
        const at::Tensor gradient = saved.empty() ? gradients[0] : gradients[0] * saved[0];
        return {gradient, at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

struct ApartFunction : torch::autograd::Function<ApartFunction>
{
    static at::Tensor forward(
        torch::autograd::AutogradContext* context, const at::Tensor& x, double smallest)
    {
        context->save_for_backward({x.abs() > smallest});
        return at::where(x < 0, x.clamp_max(-smallest), x.clamp_min(smallest));
    }
    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext* context, const torch::autograd::variable_list& gradients)
    {
        return {gradients[0] * context->get_saved_variables()[0], at::Tensor()};
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

at::Tensor pass_gradient(const at::Tensor& value, const at::Tensor& source)
{
    return source.requires_grad() ? PassFunction::apply(value.detach(), source) : value;
}

at::Tensor clamp_inside(const at::Tensor& x, double low, double high)
{
    return ClampFunction::apply(x, low, high, false);
}

at::Tensor clamp_ste(const at::Tensor& x, double low, double high)
{
    return ClampFunction::apply(x, low, high, true);
}

at::Tensor apart_from_zero(const at::Tensor& x, double smallest)
{
    return ApartFunction::apply(x, smallest);
}

} // namespace bitsmith::quant
