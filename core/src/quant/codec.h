// SPDX-License-Identifier: GPL-3.0-or-later
// One codec per data type. Three functions that must agree bit for bit: decode(encode(w, t)) ==
// fake_quantize(w, t), so that what is tuned is what is written (style.md D9). Scales and zero
// points are rounded to the type they are stored in before use.
#pragma once

#include "quant/group_layout.h"

#include <bitsmith/scheme.h>

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <string_view>

namespace bitsmith::quant {

/// Format-neutral result of quantizing one weight [rows, columns].
struct QuantizedWeight
{
    Scheme scheme;
    at::Tensor codes; ///< uint8 [rows, columns]: unsigned codes; value = scale * (code - zero)
    at::Tensor scales; ///< fp16 [rows, groups] (fp32 for types that store fp32); may be negative
    at::Tensor
        zeros; ///< uint8 [rows, groups] for Int; fp16 minimum [rows, groups] for IntFloatZero
    // Second-level values of other data types are added beside these.

    int64_t rows() const { return codes.size(0); }
    int64_t columns() const { return codes.size(1); }
};

/// Tuned values of one weight; undefined tensors mean V = 0 and factors 1. One group per tensor is
/// one row of one group: v [1, 1, rows * columns], factors [1, 1].
struct TunedValues
{
    at::Tensor v; ///< fp32 [rows, groups, group] padded; rounding offset, in units of a code
    at::Tensor min_scale; ///< fp32 [rows, groups], clamped to [0, largest_factor()] at use
    at::Tensor max_scale; ///< fp32 [rows, groups]
    /// What the factors apply to; undefined: the range of the weights in a group, which can only
    /// shrink. A searched range (quant/range_search.h) may grow again.
    GroupRange range;

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
    /// fp32 [rows, columns].
    virtual at::Tensor decode(const QuantizedWeight& weight) const = 0;
};

/// Throws UnsupportedScheme.
const Codec& codec_for(const Scheme& scheme);

/// Number of groups in a row of `columns`.
int64_t group_count(const Scheme& scheme, int64_t columns);
/// Columns per group, `columns` itself for one group per row.
int64_t group_width(const Scheme& scheme, int64_t columns);

/// Finished layers of a run by name. Implemented by the run folder, and in memory by tests.
class QuantizedStore
{
public:
    virtual ~QuantizedStore() = default;
    virtual bool contains(std::string_view layer) const = 0;
    virtual QuantizedWeight load(std::string_view layer) const = 0;
};

} // namespace bitsmith::quant
