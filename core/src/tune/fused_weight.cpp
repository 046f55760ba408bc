// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/fused_weight.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace bitsmith::tune {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Key under which the graph node keeps the address of its FusedWeight, which outlives the graph of
/// a step.
constexpr const char* kOwner = "owner";

struct FusedProduct : torch::autograd::Function<FusedProduct>
{
    static at::Tensor forward(
        AutogradContext* context, const at::Tensor& x, const at::Tensor&, int64_t owner)
    {
        context->saved_data[kOwner] = owner;
        FusedWeight& weight = *reinterpret_cast<FusedWeight*>(owner);
        // x is transformed already; the derivative of the transform is taken before this node.
        context->save_for_backward({x});
        return at::linear(x, weight.product_weight(), weight.linear().bias);
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients)
    {
        FusedWeight& weight = *reinterpret_cast<FusedWeight*>(context->saved_data[kOwner].toInt());
        const at::Tensor x = context->get_saved_variables()[0];
        const at::Tensor gradient = gradients[0].flatten(0, -2);
        weight.tuned().add_gradient(gradient, x.flatten(0, -2));
        at::Tensor input_gradient;
        if (context->needs_input_grad(0)) {
            input_gradient = at::mm(gradient, weight.product_weight()).view(x.sizes());
        }
        return {input_gradient, at::Tensor(), at::Tensor()};
    }
};

} // namespace

FusedWeight::FusedWeight(
    model::Linear& linear, const Scheme& scheme, const quant::TunedValues& start)
    : linear_(linear)
    , tuned_(linear.weight, scheme, linear.name, start)
    , anchor_(at::empty({0}, linear.weight.options()).requires_grad_())
{ }

at::Tensor FusedWeight::forward(const model::Linear&, const at::Tensor& x)
{
    if (!at::GradMode::is_enabled()) {
        return linear_.product(x, product_weight());
    }
    return FusedProduct::apply(
        linear_.transformed(x), anchor_, static_cast<int64_t>(reinterpret_cast<intptr_t>(this)));
}

at::Tensor FusedWeight::product_weight()
{
    return tuned_.values(linear_.weight.scalar_type());
}

} // namespace bitsmith::tune
