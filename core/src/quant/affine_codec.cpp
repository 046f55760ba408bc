// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/affine_codec.h"

#include "quant/affine.h"
#include "quant/range_search.h"

namespace bitsmith::quant {

std::string AffineCodec::refusal(const Scheme& scheme) const
{
    if (scheme.data_type == DataType::IntFloatZero && scheme.sym) {
        return "codes with a minimum per group are not symmetric";
    }
    return affine_refusal(scheme);
}

at::Tensor AffineCodec::fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_fake_quantize(weight, scheme, tuned);
}

QuantizedWeight AffineCodec::encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_encode(weight, scheme, tuned);
}

GroupRange AffineCodec::search(const at::Tensor& weight, const Scheme& scheme,
    const at::Tensor& importance, const at::Tensor&) const
{
    return search_range(weight, scheme, importance);
}

at::Tensor AffineCodec::decode(const QuantizedWeight& weight) const
{
    return affine_decode(weight);
}

} // namespace bitsmith::quant
