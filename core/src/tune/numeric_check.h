// SPDX-License-Identifier: GPL-3.0-or-later
// Whether numbers are finite, and where a forward loses that.
#pragma once

#include "model/decoder_block.h"

#include <functional>
#include <string>

namespace bitsmith::tune {

/// Largest finite fp16 number.
inline constexpr double kHalfMax = 65504;

/// Largest magnitude of `x`, NaN or infinite when one of its values is; 0 for no values. One pass.
double largest_magnitude(const at::Tensor& x);

/// largest_magnitude. Throws NumericFailure with `name` as the tensor and the number of bad values
/// unless those of `x` are finite.
double require_finite(const at::Tensor& x, const std::string& name);

/// Where a forward first has values that are not finite.
struct NotFinite
{
    std::string tensor; ///< "input of LAYER", "output of LAYER", or "output of the block"
    /// The layer after which they are there: the one named, or the one computed before the input;
    /// empty where none can be told.
    std::string layer;
};

/// For `forward` of `block`, whose layers multiply by the weights they hold.
NotFinite first_not_finite(model::DecoderBlock& block, const std::function<void()>& forward);

} // namespace bitsmith::tune
