// SPDX-License-Identifier: GPL-3.0-or-later
// The two passes over a weight that a tuning step needs on the CPU, on plain arrays: values from
// (W, V, factors), and the update of (V, factors) from the gradient of the values. They give bit
// for bit what the codecs give; affine_steps has the same in ATen expressions for other devices.
// Source: algorithm.md 1.6, 1.7, 1.20 (closed-form gradients).
#pragma once

#include "quant/affine_kind.h"

#include <cstdint>

namespace bitsmith::tune {

/// One weight and its tuned values; T is float or double. Rows are independent of each other.
template <class T>
struct AffineArrays
{
    quant::Affine kind;
    int64_t bits;
    int64_t columns; ///< of a row
    int64_t groups; ///< in a row
    int64_t width; ///< of a group; the last one of a row may be shorter
    const T* weight; ///< [rows, columns]
    const T* range_min; ///< [rows, groups]
    const T* range_max; ///< [rows, groups]
    T* v; ///< [rows, groups, width]
    T* min_scale; ///< [rows, groups], in [0, largest_factor]
    T* max_scale; ///< [rows, groups], in [0, largest_factor]
    T largest_factor; ///< see quant::TunedValues
    T* scale; ///< [rows, groups], written by the first pass
    T* offset; ///< [rows, groups], written by the first pass: zero point or minimum
    T* values; ///< [rows, columns], written by the first pass
    const T* gradient; ///< [rows, columns], of the loss with respect to `values`
    /// Null, or [rows, groups]: scale and offset are the caller's, and the second pass writes their
    /// gradients here, for offsets that are minima, in place of moving the factors.
    T* scale_gradient;
    T* offset_gradient;
};

/// How far the second pass moves. T is float or double.
template <class T>
struct StepRates
{
    T rounding; ///< of V
    T range; ///< of the factors; 0: left alone
    bool open_ends; ///< see StepSizes
};

/// First pass for rows [first, last).
void quantize_rows(const AffineArrays<float>& arrays, int64_t first, int64_t last);
void quantize_rows(const AffineArrays<double>& arrays, int64_t first, int64_t last);

/// Second pass for rows [first, last): V and factors, against the sign of their gradient. Needs scale
/// and offset of the first pass. A scale of 0 moves no V.
void step_rows(
    const AffineArrays<float>& arrays, int64_t first, int64_t last, const StepRates<float>& rates);
void step_rows(const AffineArrays<double>& arrays, int64_t first, int64_t last,
    const StepRates<double>& rates);

} // namespace bitsmith::tune
