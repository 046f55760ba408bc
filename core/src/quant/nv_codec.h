// SPDX-License-Identifier: GPL-3.0-or-later
// NVFP4: E2M1 numbers with an 8-bit floating point scale per group.
#pragma once

#include "quant/grid_codec.h"

namespace bitsmith::quant {

/// DataType::NvFp: scale of a group E4M3(G·A/6)/G with one G = 448·6 / (largest magnitude of the
/// tensor); NvFpE5m3: UE5M3(A/6). Source: algorithm.md 4.3, 4.4, 6.4; formats.md 1.5.
class NvCodec final : public GridCodec
{
public:
    explicit NvCodec(bool has_tensor_scale)
        : has_tensor_scale_(has_tensor_scale)
    { }
    std::string refusal(const Scheme& scheme) const override;
    const ElementGrid& grid(const Scheme& scheme) const override;
    GridScales scales(const at::Tensor& largest, const Scheme& scheme, const at::Tensor& tensor_max,
        bool wants_stored) const override;
    at::Tensor factors(const QuantizedWeight& weight) const override;
    std::vector<TunablePart> tunable_parts(const Scheme& scheme) const override;
    /// G for the largest magnitude of a tensor, fp32 of the same shape; 1 for a tensor of zeros.
    static at::Tensor tensor_divisor(const at::Tensor& largest);

protected:
    const std::vector<double>& trials() const override;
    at::Tensor tensor_scale(const at::Tensor& tensor_max) const override
    {
        return tensor_divisor(tensor_max);
    }

private:
    const ElementGrid& scale_grid() const { return has_tensor_scale_ ? kE4M3 : kUE5M3; }
    const bool has_tensor_scale_;
};

} // namespace bitsmith::quant
