// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/group_layout.h"

#include "quant/codec.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::quant {

int64_t group_count(const Scheme& scheme, int64_t columns)
{
    const int64_t width = group_width(scheme, columns);
    return width == 0 ? 0 : (columns + width - 1) / width;
}

int64_t group_width(const Scheme& scheme, int64_t columns)
{
    const bool whole_row = scheme.group_size <= 0 || columns < scheme.group_size;
    return whole_row ? columns : scheme.group_size;
}

GroupLayout::GroupLayout(const Scheme& scheme, int64_t rows, int64_t columns)
    : rows(rows)
    , columns(columns)
    , tile_rows(scheme.group_rows)
    , group_rows((rows + tile_rows - 1) / tile_rows)
    , groups(group_count(scheme, columns))
    , width(group_width(scheme, columns) * tile_rows)
    , per_tensor(scheme.group_size == kGroupPerTensor)
{
    BITSMITH_ASSERT(rows > 0 && columns > 0 && tile_rows > 0);
    if (per_tensor) {
        tile_rows = 1;
        group_rows = 1;
        groups = 1;
        width = rows * columns;
    }
}

at::Tensor GroupLayout::split(const at::Tensor& weight) const
{
    BITSMITH_ASSERT(weight.dim() == 2 && weight.size(0) == rows && weight.size(1) == columns);
    const int64_t row_width = groups * (width / tile_rows);
    const at::Tensor filled = is_padded()
        ? at::constant_pad_nd(weight, {0, row_width - columns, 0, group_rows * tile_rows - rows})
        : weight;
    if (tile_rows == 1) {
        return filled.reshape({group_rows, groups, width});
    }
    return filled.reshape({group_rows, tile_rows, groups, width / tile_rows})
        .permute({0, 2, 1, 3})
        .reshape({group_rows, groups, width});
}

at::Tensor GroupLayout::join(const at::Tensor& grouped) const
{
    if (per_tensor) {
        return grouped.reshape({rows, columns});
    }
    at::Tensor filled = grouped;
    if (tile_rows > 1) {
        filled = grouped.reshape({group_rows, groups, tile_rows, width / tile_rows})
                     .permute({0, 2, 1, 3});
    }
    filled = filled.reshape({group_rows * tile_rows, groups * (width / tile_rows)});
    return is_padded() ? filled.narrow(0, 0, rows).narrow(1, 0, columns).contiguous() : filled;
}

at::Tensor GroupLayout::per_row(const at::Tensor& per_group) const
{
    const at::Tensor flat = per_group.reshape({group_rows, groups});
    if (tile_rows > 1) {
        return flat.repeat_interleave(tile_rows, 0).narrow(0, 0, rows).contiguous();
    }
    return per_tensor ? flat.expand({rows, 1}).contiguous() : flat.contiguous();
}

GroupRange group_range(const at::Tensor& grouped)
{
    return {grouped.amin(2).clamp_max(0), grouped.amax(2).clamp_min(0)};
}

} // namespace bitsmith::quant
