// SPDX-License-Identifier: GPL-3.0-or-later
// Constants of the affine codecs, free of LibTorch for the tuner's kernels.
#pragma once

namespace bitsmith::quant {

/// How an affine code becomes a value: scale * (code - zero) or scale * code + minimum.
enum class Affine
{
    Symmetric, ///< zero = 2^(bits-1), signed scale
    Asymmetric, ///< integer zero point per group
    FloatMinimum ///< fp16 minimum per group
};

/// Smallest magnitude of a scale, the fp16 value next to 1e-5: 168 · 2^-24.
inline constexpr double kScaleThreshold = 168.0 / 16777216.0;

} // namespace bitsmith::quant
