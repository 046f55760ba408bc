// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/context.h"
#include "tensor/tensor_source.h"

namespace bitsmith {

/// Reads every tensor once, before work that takes hours begins: throws NumericFailure naming the
/// tensors that hold NaN or infinite values, and how many. A layer that `keep` names in full stays
/// as it is, with a Warning. Emits progress of the stage Load.
void require_finite_weights(
    RunContext& context, const tensor::TensorSource& tensors, const std::vector<std::string>& keep);

} // namespace bitsmith
