// SPDX-License-Identifier: GPL-3.0-or-later
// Integer codes with an fp16 scale, and a zero point or a minimum, per group.
#pragma once

#include "quant/codec.h"

namespace bitsmith::quant {

/// DataType::Int: symmetric, the whole range of codes is used, the scale carries a sign and
/// zero = 2^(bits-1); asymmetric, zero in [0, 2^bits - 1]. Also GGUF Q4_0, Q5_0 and Q8_0, whose
/// values are d · (code - 2^(bits-1)). DataType::IntFloatZero: GGUF Q4_1 and Q5_1, d · code + m.
/// 2 to 8 bits. Source: algorithm.md 1.6-1.8.
class AffineCodec final : public Codec
{
public:
    std::string refusal(const Scheme& scheme) const override;
    at::Tensor fake_quantize(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const override;
    QuantizedWeight encode(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const override;
    GroupRange search(const at::Tensor& weight, const Scheme& scheme, const at::Tensor& importance,
        const at::Tensor& tensor_max) const override;
    at::Tensor decode(const QuantizedWeight& weight) const override;
    CodeGrid code_grid(const QuantizedWeight& frame) const override;
    std::vector<TunablePart> tunable_parts(const Scheme& scheme) const override;
};

} // namespace bitsmith::quant
