// SPDX-License-Identifier: GPL-3.0-or-later
// What the codecs of scaled numbers share: Ŵ = scale · grid(W / scale), where the scale of a group
// follows from its largest magnitude. A data type says which grid and which scales.
#pragma once

#include "quant/codec.h"
#include "quant/element_grid.h"

namespace bitsmith::quant {

/// Scales of groups in the two forms they are needed in.
struct GridScales
{
    at::Tensor factor; ///< [group rows, groups], what codes are multiplied by; 0 makes a group zero
    at::Tensor stored; ///< same shape, see QuantizedWeight::scales; undefined unless asked for
};

class GridCodec : public Codec
{
public:
    at::Tensor fake_quantize(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const final;
    QuantizedWeight encode(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const final;
    GroupRange search(const at::Tensor& weight, const Scheme& scheme, const at::Tensor& importance,
        const at::Tensor& tensor_max) const final;
    at::Tensor decode(const QuantizedWeight& weight) const final;
    CodeGrid code_grid(const QuantizedWeight& frame) const final;

    virtual const ElementGrid& grid(const Scheme& scheme) const = 0;
    /// Scales for the largest magnitudes [group rows, groups] of groups. Differentiable. `tensor_max`
    /// [1]: see TunedValues.
    virtual GridScales scales(const at::Tensor& largest, const Scheme& scheme,
        const at::Tensor& tensor_max, bool wants_stored) const = 0;
    /// Factors of groups with this range under the multiples `max_scale` [group rows, groups]
    /// (undefined: 1). Differentiable in max_scale. NvFp needs tuned.tensor_max.
    at::Tensor group_factors(const GroupRange& range, const Scheme& scheme,
        const TunedValues& tuned, const at::Tensor& max_scale) const;
    /// The factors of stored scales.
    virtual at::Tensor factors(const QuantizedWeight& weight) const = 0;

protected:
    /// Multiples of a group's largest magnitude that search tries, 1 first; empty: no search.
    virtual const std::vector<double>& trials() const = 0;
    /// What is stored for the largest magnitude of the tensor where has_tensor_scale(scheme), fp32 [1].
    virtual at::Tensor tensor_scale(const at::Tensor& /*tensor_max*/) const { return {}; }

private:
    struct Quantized
    {
        GroupLayout layout;
        GridScales scales;
        at::Tensor elements; ///< numbers of the grid [group rows, groups, width]
    };
    Quantized quantize_groups(const at::Tensor& weight, const Scheme& scheme,
        const TunedValues& tuned, bool wants_stored) const;
    GridScales group_scales(const GroupRange& range, const Scheme& scheme, const TunedValues& tuned,
        const at::Tensor& max_scale, bool wants_stored) const;
};

/// The codec of a scheme of this kind; null for others.
const GridCodec* find_grid_codec(const Scheme& scheme);

} // namespace bitsmith::quant
