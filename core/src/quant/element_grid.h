// SPDX-License-Identifier: GPL-3.0-or-later
// The numbers that a small floating point or fixed-point format can hold, and their codes.
// Source: formats.md 1.5, algorithm.md 4.2.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitsmith::quant {

/// A format with a sign, `mantissa_bits` stored bits of fraction and gradual underflow. Magnitude 2^p
/// <= |x| < 2^(p+1) has the step 2^(max(p, min_exponent) - mantissa_bits). Fixed-point formats are the
/// ones whose largest magnitude is below 2^(min_exponent + 1).
struct ElementGrid
{
    int64_t bits; ///< of a code, sign included
    int64_t mantissa_bits;
    int64_t min_exponent; ///< of normal numbers
    double max; ///< largest magnitude

    /// Exponent of the largest magnitude.
    int64_t max_exponent() const;

    /// Nearest numbers, ties to the even one; t beyond the largest is clamped. Keeps the element type.
    /// `v` (undefined: 0) is added before rounding: in units of the distance between neighbouring
    /// numbers at t, or of 1 (`v_in_scales`). Differentiable: d/dt = d/dv ∝ 1 inside, 0 where clamped;
    /// with `v_in_scales` the exponent carries a straight-through derivative too, as in the reference
    /// (algorithm.md 4.2). Never gives -0.
    at::Tensor round(const at::Tensor& t, const at::Tensor& v, bool v_in_scales) const;

    /// Codes of numbers of this grid, uint8: sign in the highest bit, then exponent and fraction.
    at::Tensor codes(const at::Tensor& values) const;
    /// All numbers by code, fp32 [2^bits].
    at::Tensor table() const;
    /// Numbers of codes; fp32 of the same shape.
    at::Tensor values(const at::Tensor& codes) const;
};

inline constexpr ElementGrid kE2M1{4, 1, 0, 6.0};
inline constexpr ElementGrid kE2M3{6, 3, 0, 7.5};
inline constexpr ElementGrid kE4M3{8, 3, -6, 448.0};
inline constexpr ElementGrid kE5M2{8, 2, -14, 57344.0};
/// Unsigned; as scale only. Its code fits in a byte because the sign bit is never set.
inline constexpr ElementGrid kUE5M3{9, 3, -14, 114688.0};
inline constexpr ElementGrid kFixed4{4, 2, 0, 1.75};
inline constexpr ElementGrid kFixed8{8, 6, 0, 127.0 / 64.0};

} // namespace bitsmith::quant
