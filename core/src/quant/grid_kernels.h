// SPDX-License-Identifier: GPL-3.0-or-later
// Passes over weights in numbers of an ElementGrid, on plain arrays of the CPU. Bit for bit what
// ElementGrid::round gives.
#pragma once

#include "quant/element_grid.h"

namespace bitsmith::quant {

/// One weight; rows are independent of each other. No padding: the last group of a row may be short.
struct GridArrays
{
    ElementGrid grid;
    int64_t columns; ///< of a row
    int64_t groups; ///< in a row
    int64_t width; ///< of a group
    const float* weight; ///< [rows, columns]
    const float* factor; ///< [rows, groups], see GridScales
    float* v; ///< [rows, groups, width], in units of the distance between numbers
};

/// values [rows, columns] of rows [first, last).
void grid_quantize_rows(const GridArrays& arrays, float* values, int64_t first, int64_t last);

/// Moves V by `rate` against the sign of its gradient, and writes the gradient of the factors.
/// gradient [rows, columns] of the loss with respect to the values, factor_gradient [rows, groups].
void grid_step_rows(const GridArrays& arrays, const float* gradient, float* factor_gradient,
    float rate, int64_t first, int64_t last);

/// Σ h (value - weight)² of every group without V: errors [rows, groups], h [columns].
void grid_error_rows(
    const GridArrays& arrays, const float* h, float* errors, int64_t first, int64_t last);

} // namespace bitsmith::quant
