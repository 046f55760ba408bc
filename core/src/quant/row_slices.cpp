// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/row_slices.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>

namespace bitsmith::quant {

namespace {

/// Part of the tuned values that belongs to rows of groups [first, first + count).
TunedValues rows_of(const TunedValues& tuned, int64_t first, int64_t count)
{
    TunedValues rows = tuned;
    for (at::Tensor* part :
        {&rows.v, &rows.min_scale, &rows.max_scale, &rows.range.min, &rows.range.max}) {
        if (part->defined()) {
            *part = part->narrow(0, first, count);
        }
    }
    return rows;
}

/// Rows of groups that hold about `elements` elements.
int64_t group_rows_at_once(const GroupLayout& layout, int64_t elements)
{
    return std::max<int64_t>(1, elements / (layout.columns * layout.tile_rows));
}

/// The part of the weight in rows of groups [first, first + count).
QuantizedWeight rows_of(
    const QuantizedWeight& weight, const GroupLayout& layout, int64_t first, int64_t count)
{
    const int64_t row = first * layout.tile_rows;
    const int64_t rows = std::min(count * layout.tile_rows, layout.rows - row);
    QuantizedWeight part = weight;
    for (const WeightPart& each : kWeightParts) {
        at::Tensor& values = part.*each.tensor;
        if (!values.defined() || values.dim() < 2) {
            continue; // absent, or one value per tensor
        }
        values = values.size(0) == layout.rows ? values.narrow(0, row, rows)
                                               : values.narrow(0, first, count);
    }
    return part;
}

QuantizedWeight stacked(std::vector<QuantizedWeight> parts)
{
    QuantizedWeight whole = parts.front();
    for (const WeightPart& part : kWeightParts) {
        if (!(whole.*part.tensor).defined() || (whole.*part.tensor).dim() < 2) {
            continue; // absent, or one value per tensor
        }
        std::vector<at::Tensor> rows;
        for (const QuantizedWeight& slice : parts) {
            rows.push_back(slice.*part.tensor);
        }
        whole.*part.tensor = at::cat(rows);
    }
    return whole;
}

} // namespace

QuantizedWeight encode_by_rows(const at::Tensor& weight, const Scheme& scheme,
    const TunedValues& tuned,
    const std::function<QuantizedWeight(const at::Tensor&, const TunedValues&)>& encode)
{
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    const int64_t step = group_rows_at_once(layout, kSliceElements);
    if (layout.per_tensor || layout.group_rows <= step) {
        return encode(weight, tuned);
    }
    std::vector<QuantizedWeight> parts;
    for (int64_t first = 0; first < layout.group_rows; first += step) {
        const int64_t count = std::min(step, layout.group_rows - first);
        const int64_t row = first * layout.tile_rows;
        const int64_t rows = std::min(count * layout.tile_rows, layout.rows - row);
        parts.push_back(encode(weight.narrow(0, row, rows), rows_of(tuned, first, count)));
    }
    return stacked(std::move(parts));
}

void decode_by_rows(const QuantizedWeight& weight,
    const std::function<void(int64_t first, const at::Tensor& values)>& use, int64_t elements)
{
    const GroupLayout layout(weight.scheme, weight.rows(), weight.columns());
    const Codec& codec = codec_for(weight.scheme);
    if (layout.per_tensor) {
        use(0, codec.decode(weight));
        return;
    }
    const int64_t step = group_rows_at_once(layout, elements);
    for (int64_t first = 0; first < layout.group_rows; first += step) {
        const int64_t count = std::min(step, layout.group_rows - first);
        use(first * layout.tile_rows, codec.decode(rows_of(weight, layout, first, count)));
    }
}

void check_shapes(const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned)
{
    BITSMITH_ASSERT(weight.dim() == 2 && weight.is_floating_point());
    const GroupLayout layout(scheme, weight.size(0), weight.size(1));
    for (const at::Tensor* factor :
        {&tuned.min_scale, &tuned.max_scale, &tuned.range.min, &tuned.range.max}) {
        BITSMITH_ASSERT(!factor->defined()
            || factor->sizes() == at::IntArrayRef({layout.group_rows, layout.groups}));
    }
    BITSMITH_ASSERT(!tuned.v.defined()
        || tuned.v.sizes() == at::IntArrayRef({layout.group_rows, layout.groups, layout.width}));
}

} // namespace bitsmith::quant
