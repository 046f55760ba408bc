// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/int_codec.h"

#include "quant/affine.h"

namespace bitsmith::quant {

std::string IntCodec::refusal(const Scheme& scheme) const
{
    if (scheme.data_type != DataType::Int) {
        return "not integer codes";
    }
    return affine_refusal(scheme);
}

at::Tensor IntCodec::fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_fake_quantize(weight, scheme, tuned);
}

QuantizedWeight IntCodec::encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_encode(weight, scheme, tuned);
}

at::Tensor IntCodec::decode(const QuantizedWeight& weight) const
{
    return affine_decode(weight);
}

} // namespace bitsmith::quant
