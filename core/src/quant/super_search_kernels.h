// SPDX-License-Identifier: GPL-3.0-or-later
// The search of super_search on plain arrays.
#pragma once

#include <cstdint>

namespace bitsmith::quant {

struct SuperArrays
{
    int64_t bits;
    bool sym;
    int64_t super_bits;
    int64_t columns; ///< of a row, whole super-blocks
    int64_t width; ///< of a group
    int64_t super_groups; ///< groups in a super-block, at most kMaxSuperGroups
    const float* weight; ///< [rows, columns]
    const float* importance; ///< [columns]
    float* low; ///< [rows, groups], read and written
    float* high; ///< [rows, groups], read and written
};

inline constexpr int64_t kMaxSuperGroups = 16;

/// For rows [first, last).
void search_super_rows(const SuperArrays& arrays, int64_t first, int64_t last);

} // namespace bitsmith::quant
