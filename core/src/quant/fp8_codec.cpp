// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/fp8_codec.h"

#include <ATen/ATen.h>

namespace bitsmith::quant {

namespace {

constexpr double kSmallestScale = 1.0 / (448.0 * 512.0);

} // namespace

std::string Fp8Codec::refusal(const Scheme& scheme) const
{
    if (scheme.bits != 8 || !scheme.sym) {
        return "FP8 has 8 bits and is symmetric";
    }
    return scheme.group_rows > 1 && scheme.group_size < 1 ? "tiles need a number of columns" : "";
}

const ElementGrid& Fp8Codec::grid(const Scheme&) const
{
    return kE4M3;
}

GridScales Fp8Codec::scales(
    const at::Tensor& largest, const Scheme&, const at::Tensor&, bool wants_stored) const
{
    GridScales result;
    result.factor = (largest / kE4M3.max).clamp_min(kSmallestScale);
    if (wants_stored) {
        result.stored = result.factor.to(at::kFloat);
    }
    return result;
}

at::Tensor Fp8Codec::factors(const QuantizedWeight& weight) const
{
    return weight.scales;
}

const std::vector<double>& Fp8Codec::trials() const
{
    static const std::vector<double> none; // other scales round as well as the first one
    return none;
}

} // namespace bitsmith::quant
