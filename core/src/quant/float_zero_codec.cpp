// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/float_zero_codec.h"

#include "quant/affine.h"

namespace bitsmith::quant {

std::string FloatZeroCodec::refusal(const Scheme& scheme) const
{
    if (scheme.data_type != DataType::IntFloatZero) {
        return "not integer codes with a floating point minimum";
    }
    if (scheme.sym) {
        return "codes with a minimum per group are not symmetric";
    }
    return affine_refusal(scheme);
}

at::Tensor FloatZeroCodec::fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_fake_quantize(weight, scheme, tuned);
}

QuantizedWeight FloatZeroCodec::encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_encode(weight, scheme, tuned);
}

at::Tensor FloatZeroCodec::decode(const QuantizedWeight& weight) const
{
    return affine_decode(weight);
}

} // namespace bitsmith::quant
