// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/transforms.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace bitsmith::exporting {

at::Tensor rotary_row_order(int64_t rows, int64_t heads)
{
    if (heads <= 0 || rows % (2 * heads) != 0) {
        fail(ErrorCode::ShapeMismatch, "heads do not divide a rotary projection",
            {{"found", concat(rows, " rows, ", heads, " heads")}});
    }
    const int64_t half = rows / heads / 2;
    return at::arange(rows, at::kLong).view({heads, 2, half}).transpose(1, 2).reshape({rows});
}

quant::QuantizedWeight with_rows(const quant::QuantizedWeight& weight, const at::Tensor& order)
{
    quant::QuantizedWeight moved = weight;
    for (const quant::WeightPart& part : quant::kWeightParts) {
        const at::Tensor& values = weight.*part.tensor;
        if (values.defined() && values.numel() > 1) { // one value serves all rows
            moved.*part.tensor = values.reshape({weight.rows(), -1}).index_select(0, order);
        }
    }
    return moved;
}

at::Tensor llama3_divisors(const model::RotarySpec& rotary, int64_t head_dim)
{
    const int64_t half = head_dim / 2;
    const auto original = static_cast<double>(rotary.original_length);
    const double low = original / rotary.low_freq, high = original / rotary.high_freq;
    at::Tensor divisors = at::empty({half}, at::kFloat);
    auto* out = divisors.mutable_data_ptr<float>();
    for (int64_t i = 0; i < half; ++i) {
        const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
        const double wavelength = 2 * std::numbers::pi * std::pow(rotary.theta, exponent);
        double divisor = 1;
        if (wavelength > low) {
            divisor = rotary.factor;
        } else if (wavelength >= high) {
            const double smooth =
                (original / wavelength - rotary.low_freq) / (rotary.high_freq - rotary.low_freq);
            divisor = 1 / ((1 - smooth) / rotary.factor + smooth);
        }
        out[i] = static_cast<float>(divisor);
    }
    return divisors;
}

} // namespace bitsmith::exporting
