// SPDX-License-Identifier: GPL-3.0-or-later
// The two passes of a tuning step for scaled floating point numbers, by kernels of the CPU.
#pragma once

#include "quant/grid_codec.h"
#include "tune/affine_steps.h"

namespace bitsmith::tune {

/// Whether the kernels take this weight: fp32 on the CPU, groups within a row, V in units of the
/// distance between numbers.
bool runs_on_grid_kernels(const AffineState& state);

/// quantize_ and step_ of such a weight; `scale` of the state holds the factors.
void quantize_grid_(AffineState& state, const quant::GridCodec& codec);
void step_grid_(AffineState& state, const quant::GridCodec& codec, const StepSizes& sizes);

} // namespace bitsmith::tune
