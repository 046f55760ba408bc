// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/fp8_codec.h"

#include <ATen/ATen.h>

namespace bitsmith::quant {

namespace {

/// Scales are at least 1 / (largest number * this).
constexpr double kFloorFactor = 512;

} // namespace

std::string Fp8Codec::refusal(const Scheme& scheme) const
{
    if (scheme.bits != 8 || !scheme.sym) {
        return "FP8 has 8 bits and is symmetric";
    }
    return scheme.group_rows > 1 && scheme.group_size < 1 ? "tiles need a number of columns" : "";
}

const ElementGrid& Fp8Codec::grid(const Scheme& scheme) const
{
    return scheme.data_type == DataType::Fp8E5m2 ? kE5M2 : kE4M3;
}

GridScales Fp8Codec::scales(
    const at::Tensor& largest, const Scheme& scheme, const at::Tensor&, bool wants_stored) const
{
    const double max = grid(scheme).max;
    GridScales result;
    result.factor = (largest / max).clamp_min(1.0 / (max * kFloorFactor));
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

std::vector<TunablePart> Fp8Codec::tunable_parts(const Scheme&) const
{
    return {{{"scales", &QuantizedWeight::scales}}};
}

} // namespace bitsmith::quant
