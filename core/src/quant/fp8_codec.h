// SPDX-License-Identifier: GPL-3.0-or-later
// 8-bit floating point weights.
#pragma once

#include "quant/grid_codec.h"

namespace bitsmith::quant {

/// DataType::Fp8: E4M3 numbers with an fp32 scale A/448 per row, tensor, group of columns or tile of
/// rows and columns; Fp8E5m2: E5M2 numbers with A/57344. Source: algorithm.md 4.5.
class Fp8Codec final : public GridCodec
{
public:
    std::string refusal(const Scheme& scheme) const override;
    const ElementGrid& grid(const Scheme& scheme) const override;
    GridScales scales(const at::Tensor& largest, const Scheme& scheme, const at::Tensor& tensor_max,
        bool wants_stored) const override;
    at::Tensor factors(const QuantizedWeight& weight) const override;
    std::vector<TunablePart> tunable_parts(const Scheme& scheme) const override;

protected:
    const std::vector<double>& trials() const override;
};

} // namespace bitsmith::quant
