// SPDX-License-Identifier: GPL-3.0-or-later
// K types of GGUF: the scales and minima of groups are integers themselves, under an fp16 scale per
// super-block.
#pragma once

#include "quant/codec.h"

namespace bitsmith::quant {

/// Scales s or d·L and minima μ or dmin·M of groups, both [rows, groups].
struct GroupNumbers
{
    at::Tensor scale;
    at::Tensor minimum; ///< >= 0, what is subtracted; undefined for symmetric types
};

/// d·L and dmin·M of groups with this range under the factors of `tuned`, see DoubleCodec.
/// Differentiable in the factors.
GroupNumbers stored_numbers(
    const GroupRange& range, const Scheme& scheme, const TunedValues& tuned);

/// DataType::IntDouble with the five field combinations of GGUF (values/scheme_presets.h). A
/// super-block has 256 columns in groups of 16 or 32. With b = bits, p = super_bits, a group's range
/// [min, max] and its factors β, α:
///
///     asymmetric (q2_k, q4_k, q5_k)
///         per group          μ = max(-min·β, 0),  s = max(max·α + μ, 0) / (2^b - 1)
///         per super-block    d = fp16(max s / (2^p - 1)),  dmin = fp16(max μ / (2^p - 1))
///         per group          L = clamp(round(s/d), 0, 2^p - 1),  M of μ and dmin alike
///         ŵ = (d·L)·q - dmin·M,  q = clamp(round((w + dmin·M)/(d·L) + V), 0, 2^b - 1)
///     symmetric (q3_k, q6_k), n = 2^(b-1)
///         per group          s = X/-n, X the factored end of larger magnitude, so s is signed
///         per super-block    d = fp16(S/-2^(p-1)), S the s of largest magnitude
///         per group          L = clamp(round(s/d), -2^(p-1), 2^(p-1) - 1)
///         ŵ = (d·L)·q,  q = clamp(round(w/(d·L) + V), -n, n - 1), stored as q + n
///
/// L = 0 where d = 0, and q = 0 where d·L = 0. Codes, L, d and dmin are never -0, and products are
/// rounded one by one, so that values are bit for bit those of quant/gguf_blocks.h. Derivatives take
/// d·L for s and dmin·M for μ; d and dmin count as constants.
/// Source: algorithm.md 5.1, 5.2 with d rounded before use and codes never below 0 (5.3, 5.8 and
/// 15.1 name both as defects of the reference); formats.md 6.2.
class DoubleCodec final : public Codec
{
public:
    std::string refusal(const Scheme& scheme) const override;
    /// Throws ShapeMismatch when columns are not a multiple of the super-block, as does encode.
    at::Tensor fake_quantize(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const override;
    /// Throws NumericFailure for values that are not finite, or too large for fp16 scales.
    QuantizedWeight encode(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const override;
    /// Ranges as if every group had an fp16 scale and minimum of its own, then moved to numbers that
    /// integers under super-scales can hold (quant/super_search.h).
    GroupRange search(const at::Tensor& weight, const Scheme& scheme, const at::Tensor& importance,
        const at::Tensor& tensor_max) const override;
    at::Tensor decode(const QuantizedWeight& weight) const override;
    CodeGrid code_grid(const QuantizedWeight& frame) const override;
    std::vector<TunablePart> tunable_parts(const Scheme& scheme) const override;
};

} // namespace bitsmith::quant
