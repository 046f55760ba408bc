// SPDX-License-Identifier: GPL-3.0-or-later
// The search of range_search on plain arrays.
#pragma once

#include "quant/affine_kind.h"

#include <cstdint>

namespace bitsmith::quant {

struct SearchArrays
{
    Affine kind;
    int64_t bits;
    int64_t columns; ///< of a row
    int64_t groups; ///< in a row
    int64_t width; ///< of a group; the last one of a row may be shorter
    const float* weight; ///< [rows, columns]
    const float* importance; ///< [columns]
    float* low; ///< [rows, groups], <= 0 for Symmetric and Asymmetric; written
    float* high; ///< [rows, groups]; written
};

/// For rows [first, last).
void search_rows(const SearchArrays& arrays, int64_t first, int64_t last);

} // namespace bitsmith::quant
