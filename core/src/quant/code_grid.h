// SPDX-License-Identifier: GPL-3.0-or-later
// What the codes of one weight stand for once its scales are fixed, the same for all data types.
#pragma once

#include "quant/element_grid.h"

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// value = (step - zero) * scale + minimum. A step is an integer in [0, last] and the code itself, or
/// a number of `elements`. Tensors are fp32 [rows, groups in a row].
struct CodeGrid
{
    at::Tensor scale; ///< 0 makes a group `minimum`
    at::Tensor zero; ///< undefined: 0
    at::Tensor minimum; ///< undefined: 0
    double last = 0; ///< largest integer; without `elements` only
    const ElementGrid* elements = nullptr; ///< null: integers
};

} // namespace bitsmith::quant
