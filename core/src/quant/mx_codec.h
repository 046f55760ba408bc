// SPDX-License-Identifier: GPL-3.0-or-later
// OCP microscaling formats: small numbers with a power of two per group.
#pragma once

#include "quant/grid_codec.h"

namespace bitsmith::quant {

/// DataType::MxFp (4, 6, 8 bits: E2M1, E2M3, E4M3), MxFpRceil (the same), MxInt (4, 8 bits). The
/// exponent E of a group whose largest magnitude is A: floor(log2 A) - that of the largest number, or
/// with Rceil ceil(log2(A / largest number)). Source: algorithm.md 4.2, 6.3.
class MxCodec final : public GridCodec
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
