// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/norm.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

Norm::Norm(const NormSpec& spec, at::Tensor weight)
    : spec_(spec)
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
    const at::Tensor wide = x.to(at::kFloat); // the same tensor when x is fp32
    const at::Tensor mean = wide.square().mean({-1}, /*keepdim=*/true);
    const at::Tensor normed = wide * (mean + spec_.eps).rsqrt();
    const bool cast_first = spec_.kind == NormKind::Rms && spec_.cast == NormCast::CastThenScale;
    if (cast_first) {
        return normed.to(x.scalar_type()) * weight_;
    }
    return (normed * weight_).to(x.scalar_type());
}

} // namespace bitsmith::model
