// SPDX-License-Identifier: GPL-3.0-or-later
// Integer codes with an fp16 scale and an integer zero point per group.
#pragma once

#include "quant/codec.h"

namespace bitsmith::quant {

/// DataType::Int, 2 to 8 bits. Symmetric: the whole range of codes is used and the scale carries a
/// sign; zero = 2^(bits-1). Asymmetric: zero in [0, 2^bits - 1]. Also GGUF Q4_0, Q5_0 and Q8_0,
/// whose values are d · (code - 2^(bits-1)). Source: algorithm.md 1.6 and 1.7.
class IntCodec final : public Codec
{
public:
    std::string refusal(const Scheme& scheme) const override;
    at::Tensor fake_quantize(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const override;
    QuantizedWeight encode(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const override;
    at::Tensor decode(const QuantizedWeight& weight) const override;
};

} // namespace bitsmith::quant
