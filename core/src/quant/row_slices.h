// SPDX-License-Identifier: GPL-3.0-or-later
// Large weights are encoded some rows at a time, so that what is computed on the way stays small.
#pragma once

#include "quant/codec.h"

#include <functional>

namespace bitsmith::quant {

/// Encodes part after part by `encode` and puts the parts together. `encode` sees whole rows of groups
/// and the tuned values that belong to them; what stands once per tensor must be fixed in `tuned`.
QuantizedWeight encode_by_rows(const at::Tensor& weight, const Scheme& scheme,
    const TunedValues& tuned,
    const std::function<QuantizedWeight(const at::Tensor&, const TunedValues&)>& encode);

/// Asserts that the shapes of the tuned values are those of the weight's groups.
void check_shapes(const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned);

} // namespace bitsmith::quant
