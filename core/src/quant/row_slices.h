// SPDX-License-Identifier: GPL-3.0-or-later
// Large weights are encoded and decoded some rows at a time, so that what is computed on the way stays
// small.
#pragma once

#include "quant/codec.h"

#include <functional>

namespace bitsmith::quant {

/// Elements of a weight that are worked on at once outside tuning.
inline constexpr int64_t kSliceElements = int64_t{1} << 22;

/// Encodes part after part by `encode` and puts the parts together. `encode` sees whole rows of groups
/// and the tuned values that belong to them; what stands once per tensor must be fixed in `tuned`.
QuantizedWeight encode_by_rows(const at::Tensor& weight, const Scheme& scheme,
    const TunedValues& tuned,
    const std::function<QuantizedWeight(const at::Tensor&, const TunedValues&)>& encode);

/// Gives `use` the decoded weight some rows at a time, from the first on: the number of the first
/// row, and fp32 [rows, columns] of at least one row of groups and about `elements` elements.
void decode_by_rows(const QuantizedWeight& weight,
    const std::function<void(int64_t first, const at::Tensor& values)>& use,
    int64_t elements = kSliceElements);

/// Asserts that the shapes of the tuned values are those of the weight's groups.
void check_shapes(const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned);

} // namespace bitsmith::quant
