// SPDX-License-Identifier: GPL-3.0-or-later
// How one weight [rows, columns] falls into groups of consecutive input columns.
// Source: algorithm.md 1.5.
#pragma once

#include <bitsmith/scheme.h>

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitsmith::quant {

/// A group per `width` columns of a row, or of tile_rows rows; the last group of a row, and the last
/// rows of tiles, are filled up with zeros. One group per tensor is one long row.
struct GroupLayout
{
    GroupLayout(const Scheme& scheme, int64_t rows, int64_t columns);

    int64_t rows; ///< of the weight
    int64_t columns; ///< of the weight
    int64_t tile_rows; ///< rows of the weight in a row of groups; 1 unless groups are tiles
    int64_t group_rows; ///< rows of groups: `rows`, or 1 for one group per tensor
    int64_t groups; ///< in each row of groups
    int64_t width; ///< elements of a group, filling included
    bool per_tensor;

    bool is_padded() const
    {
        return !per_tensor
            && (groups * (width / tile_rows) != columns || group_rows * tile_rows != rows);
    }
    int64_t n_groups() const { return group_rows * groups; }

    /// weight [rows, columns] -> [group_rows, groups, width]; a view unless zeros are filled in.
    at::Tensor split(const at::Tensor& weight) const;
    /// Inverse of split: [group_rows, groups, width] -> [rows, columns] without the filling.
    at::Tensor join(const at::Tensor& grouped) const;
    /// One value per group [group_rows, groups] -> [rows, groups in a row], as integer schemes
    /// store it.
    at::Tensor per_row(const at::Tensor& per_group) const;
};

/// Smallest and largest weight of each group, zero included; both [group_rows, groups].
struct GroupRange
{
    at::Tensor min; ///< <= 0
    at::Tensor max; ///< >= 0
};
GroupRange group_range(const at::Tensor& grouped);

} // namespace bitsmith::quant
