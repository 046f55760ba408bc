// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/norm.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace bitsmith::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// n = x · r, r = (mean x² + eps)^-1/2, in fp32. The gradient in closed form,
/// dx = r · (dn - n · mean(dn · n)), takes half the passes of the composed one.
struct RootMeanSquare : torch::autograd::Function<RootMeanSquare>
{
    static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double eps)
    {
        const at::Tensor wide = x.to(at::kFloat); // the same tensor when x is fp32
        const at::Tensor inverse = (wide.square().mean({-1}, /*keepdim=*/true) + eps).rsqrt_();
        const at::Tensor normed = wide * inverse;
        context->saved_data["type"] = static_cast<int64_t>(x.scalar_type());
        context->save_for_backward({normed, inverse});
        return normed;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients)
    {
        const variable_list saved = context->get_saved_variables();
        const at::Tensor &normed = saved[0], &inverse = saved[1];
        const at::Tensor mean = (gradients[0] * normed).mean({-1}, /*keepdim=*/true);
        const at::Tensor gradient = at::addcmul(gradients[0], normed, mean, -1).mul_(inverse);
        const auto type = static_cast<at::ScalarType>(context->saved_data["type"].toInt());
        return {gradient.to(type), at::Tensor()};
    }
};

} // namespace

Norm::Norm(const NormSpec& spec, at::Tensor weight, at::ScalarType stored)
    : spec_(spec)
    , stored_(stored)
{
    switch (spec.kind) {
    case NormKind::Rms:
        weight_ = spec.cast == NormCast::CastThenScale ? std::move(weight) : weight.to(at::kFloat);
        return;
    case NormKind::RmsOnePlus:
        weight_ = weight.to(at::kFloat) + 1.0;
        return;
    case NormKind::RmsNoWeight:
    case NormKind::Layer:
    case NormKind::LayerOnePlus:
    case NormKind::LayerNoParams:
        break;
    }
    fail(ErrorCode::UnsupportedModel, "this kind of normalisation is not implemented",
        {{"field", "norm"}});
}

at::Tensor Norm::forward(const at::Tensor& x) const
{
    const at::Tensor normed = RootMeanSquare::apply(x, spec_.eps);
    const bool cast_first = spec_.kind == NormKind::Rms && spec_.cast == NormCast::CastThenScale;
    if (cast_first) {
        return normed.to(x.scalar_type()) * weight_;
    }
    return (normed * weight_).to(x.scalar_type());
}

at::Tensor Norm::to_stored(const at::Tensor& weight) const
{
    return (weight.to(weight_.scalar_type()).to(at::kFloat) - offset()).to(stored_);
}

void Norm::put_stored(const at::Tensor& stored)
{
    weight_ = (stored.to(at::kFloat) + offset()).to(weight_.options());
}

} // namespace bitsmith::model
