// SPDX-License-Identifier: GPL-3.0-or-later
// One codec per data type. Three functions that must agree bit for bit: decode(encode(w, t)) ==
// fake_quantize(w, t), so that what is tuned is what is written (style.md D9). Scales and zero
// points are rounded to the type they are stored in before use.
#pragma once

#include "quant/code_grid.h"
#include "quant/group_layout.h"

#include <bitsmith/scheme.h>

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::quant {

/// Format-neutral result of quantizing one weight [rows, columns]. What the parts hold depends on the
/// data type; undefined where it says nothing.
///
/// | type | codes | scales | zeros | super_scales | super_zeros |
/// |---|---|---|---|---|---|
/// | Int | code | fp16, signed | uint8 zero point | | |
/// | IntFloatZero | code | fp16 | fp16 minimum | | |
/// | IntDouble | code | int8 of 4-8 bits | uint8 (asymmetric) | fp16 d | fp16 dmin (asymmetric) |
/// | MxFp, MxFpRceil, MxInt | sign and magnitude | uint8 E8M0 | | | |
/// | NvFp | E2M1 | uint8 E4M3 | | fp32 [1] divisor | |
/// | NvFpE5m3 | E2M1 | uint8 UE5M3 | | | |
/// | Fp8, Fp8E5m2 | E4M3, E5M2 | fp32 | | | |
struct QuantizedWeight
{
    Scheme scheme;
    at::Tensor codes; ///< uint8 [rows, columns]
    /// [rows, groups]; for tiles [rows of groups, groups], for Fp8 per tensor [1, 1].
    at::Tensor scales;
    at::Tensor zeros; ///< [rows, groups]
    at::Tensor super_scales; ///< [rows, super-blocks]
    at::Tensor super_zeros; ///< [rows, super-blocks]
    at::Tensor input_max; ///< fp32 [1]: largest activation, for schemes that need it

    int64_t rows() const { return codes.size(0); }
    int64_t columns() const { return codes.size(1); }
};

/// The tensors of a QuantizedWeight by name, in the order they are stored in.
struct WeightPart
{
    const char* name;
    at::Tensor QuantizedWeight::*tensor;
};
inline constexpr WeightPart kWeightParts[] = {
    {"codes", &QuantizedWeight::codes},
    {"scales", &QuantizedWeight::scales},
    {"zeros", &QuantizedWeight::zeros},
    {"super_scales", &QuantizedWeight::super_scales},
    {"super_zeros", &QuantizedWeight::super_zeros},
    {"input_max", &QuantizedWeight::input_max},
};

/// A part of a QuantizedWeight whose numbers may change while the codes stay: CodeGrid::scale is
/// proportional to it, or CodeGrid::minimum.
struct TunablePart
{
    WeightPart part;
    bool is_minimum = false;
    const ElementGrid* numbers = nullptr; ///< that its bytes are codes of; null: no codes
};

/// Tuned values of one weight; undefined tensors mean V = 0 and factors 1. One group per tensor is
/// one row of one group: v [1, 1, rows * columns], factors [1, 1].
struct TunedValues
{
    at::Tensor v; ///< fp32 [group rows, groups, group] padded; rounding offset, in units of a code
    at::Tensor min_scale; ///< fp32 [group rows, groups], clamped to [0, largest_factor()] at use
    at::Tensor max_scale; ///< fp32 [group rows, groups]
    /// What the factors apply to; undefined: the range of the weights in a group, which can only
    /// shrink. A searched range (quant/range_search.h) may grow again.
    GroupRange range;
    /// fp32 [1]: the magnitude that a scale per tensor stands for (NvFp); undefined: the weight's
    /// own. Layers that runtimes fuse share one.
    at::Tensor tensor_max;
    /// fp32 [1]: largest activation of the layer, only kept with the codes.
    at::Tensor input_max;
    /// V of floating point codes in units of the group's scale instead of the distance between
    /// codes, as the reference has it; V then hardly moves large weights.
    bool v_in_scales = false;

    double largest_factor() const { return range.min.defined() ? 2.0 : 1.0; }
};

class Codec
{
public:
    virtual ~Codec() = default;
    /// Empty: the scheme is of this codec and legal. Otherwise the reason.
    virtual std::string refusal(const Scheme& scheme) const = 0;
    /// Plain reference, ATen expressions; differentiable in weight and tuned values by
    /// straight-through rounding. weight [rows, columns] fp32 -> same shape.
    virtual at::Tensor fake_quantize(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const = 0;
    virtual QuantizedWeight encode(
        const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const = 0;
    /// Ranges of smallest Σ h (Ŵ - W)² that tuning may start from; undefined when the codec has no
    /// better ones than those of the groups. weight [rows, columns] of any floating point type,
    /// importance h [columns] >= 0 (undefined: all equal), tensor_max as in TunedValues.
    virtual GroupRange search(const at::Tensor& weight, const Scheme& scheme,
        const at::Tensor& importance, const at::Tensor& tensor_max) const = 0;
    /// fp32 [rows, columns].
    virtual at::Tensor decode(const QuantizedWeight& weight) const = 0;
    /// What the codes of a weight with the scales of `frame` stand for; its codes do not matter. Gives
    /// the values of decode bit for bit.
    virtual CodeGrid code_grid(const QuantizedWeight& frame) const = 0;
    /// What can be tuned once codes are fixed; none where scales have no near neighbours, as powers of
    /// two. What layers share (the divisor of NvFp) is not among it.
    virtual std::vector<TunablePart> tunable_parts(const Scheme& scheme) const = 0;
};

/// Empty: weights and activations of this scheme have codecs that take it. Otherwise the reason.
std::string scheme_refusal(const Scheme& scheme);
/// Throws UnsupportedScheme with the reason.
const Codec& codec_for(const Scheme& scheme);

/// Whether the scales of the weights depend on the largest magnitude of the tensor
/// (TunedValues::tensor_max).
bool has_tensor_scale(const Scheme& scheme);

/// Number of groups in a row of `columns`.
int64_t group_count(const Scheme& scheme, int64_t columns);
/// Columns per group, `columns` itself for one group per row.
int64_t group_width(const Scheme& scheme, int64_t columns);

/// Largest magnitudes of what a block puts into its key/value cache, fp32 [1]. Undefined: the cache is
/// not quantized. What follows from them: quant/cache_numbers.h.
struct CacheMaxima
{
    at::Tensor keys, values;
    bool defined() const { return keys.defined(); }
};

/// Tensor name -> weight of a norm as a checkpoint stores it.
using NamedNorms = std::map<std::string, at::Tensor, std::less<>>;

/// Finished layers of a run by name. Implemented by the run folder, and in memory by tests.
class QuantizedStore
{
public:
    virtual ~QuantizedStore() = default;
    virtual bool contains(std::string_view layer) const = 0;
    virtual QuantizedWeight load(std::string_view layer) const = 0;
    virtual CacheMaxima cache(int64_t /*block*/) const { return {}; }
    /// Norms that changed with the layers of a block.
    virtual NamedNorms norms(int64_t /*block*/) const { return {}; }
};

} // namespace bitsmith::quant
