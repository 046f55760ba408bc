// SPDX-License-Identifier: GPL-3.0-or-later
// A model whose weights all have one element type.
#pragma once

#include "source/model_source.h"

#include <c10/core/ScalarType.h>

namespace bitsmith {

/// `model` with every floating point tensor, decoded ones included, as `type` (bf16, fp16 or fp32);
/// its configuration says so. Integer tensors stay. Loading a tensor throws NumericFailure when a
/// value is too large for fp16.
std::shared_ptr<const source::ModelSource> typed_model(
    const std::shared_ptr<const source::ModelSource>& model, c10::ScalarType type);

} // namespace bitsmith
