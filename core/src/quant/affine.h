// SPDX-License-Identifier: GPL-3.0-or-later
// Arithmetic that the integer codecs and the tuner share: from a group's range and its two factors
// to a scale and a zero point or minimum, and from there to codes and back.
// One formula serves all: value = scale * (code - zero) + minimum, where Int has no minimum and
// IntFloatZero has zero = 0. Source: algorithm.md 1.6 (symmetric), 1.7 (asymmetric), 1.8
// (int_asym_float_zp, with minimum = -z·s rounded to fp16 as GGUF stores it).
#pragma once

#include "quant/affine_kind.h"
#include "quant/codec.h"
#include "quant/group_layout.h"

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// Whether the arithmetic of the scheme is that of this file.
bool is_affine(const Scheme& scheme);
Affine affine_kind(const Scheme& scheme);

/// Values per group [group_rows, groups], in the element type of the range.
struct AffineParameters
{
    at::Tensor scale; ///< exactly representable in fp16
    at::Tensor zero; ///< integer in [0, 2^bits - 1]; undefined for FloatMinimum
    at::Tensor minimum; ///< exactly representable in fp16; undefined for the other kinds
};

/// `range` under the factors of `tuned` (undefined: 1). Differentiable in the factors by
/// straight-through rounding.
AffineParameters affine_parameters(
    const GroupRange& range, const Scheme& scheme, const TunedValues& tuned);

/// (W - minimum) / scale of weights [group_rows, groups, width]: how many steps they are from zero.
at::Tensor affine_steps(const at::Tensor& grouped, const AffineParameters& parameters);

/// Codes as floating point numbers [group_rows, groups, width], clamped to [0, 2^bits - 1].
/// Differentiable; `v` (undefined: 0) of the same shape.
at::Tensor affine_codes(const at::Tensor& grouped, const AffineParameters& parameters,
    const at::Tensor& v, int64_t bits);

/// Values of codes, both [group_rows, groups, width].
at::Tensor affine_values(const at::Tensor& codes, const AffineParameters& parameters);

/// Throws NumericFailure when the weight [rows, columns] of `layer` (may be empty) has values that
/// are not finite, naming their number, or too large for the fp16 scales of affine schemes.
void check_weight(const at::Tensor& weight, const Scheme& scheme, std::string_view layer);

/// Reason why an affine codec refuses the scheme; empty when it takes it.
std::string affine_refusal(const Scheme& scheme);

/// The three functions of Codec for affine schemes; rows are handled in slices to bound memory.
at::Tensor affine_fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned);
QuantizedWeight affine_encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned);
at::Tensor affine_decode(const QuantizedWeight& weight);

} // namespace bitsmith::quant
