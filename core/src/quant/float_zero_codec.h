// SPDX-License-Identifier: GPL-3.0-or-later
// Integer codes with an fp16 scale and an fp16 minimum per group.
#pragma once

#include "quant/codec.h"

namespace bitsmith::quant {

/// DataType::IntFloatZero: value = d · code + m with code in [0, 2^bits - 1], as GGUF Q4_1 and Q5_1
/// dequantize in fp32. d · code is exact in fp32, so a fused multiply-add gives the same value.
/// Source: algorithm.md 1.8; llama.cpp's block layouts as in formats.md 6.
class FloatZeroCodec final : public Codec
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
