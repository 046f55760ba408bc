// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/decoder_block.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bitsmith::model {

namespace {

/// Appends `tail` along dimension 2 to the first `used` entries of `room`; returns the front.
at::Tensor append_to(at::Tensor& room, int64_t used, const at::Tensor& tail)
{
    const int64_t needed = used + tail.size(2);
    if (!room.defined() || room.size(2) < needed) {
        std::vector<int64_t> sizes = tail.sizes().vec();
        sizes[2] = std::max<int64_t>(needed + 64, needed + needed / 2);
        const at::Tensor larger = at::empty(sizes, tail.options());
        if (used > 0) {
            larger.narrow(2, 0, used).copy_(room.narrow(2, 0, used));
        }
        room = larger;
    }
    room.narrow(2, used, tail.size(2)).copy_(tail);
    return room.narrow(2, 0, needed);
}

} // namespace

void KvCache::append(const at::Tensor& new_keys, const at::Tensor& new_values)
{
    const int64_t used = past();
    keys = append_to(key_room_, used, new_keys);
    values = append_to(value_room_, used, new_values);
}

void KvCache::keep_rows(const at::Tensor& rows)
{
    const int64_t used = past();
    if (used == 0) {
        return;
    }
    key_room_ = key_room_.index_select(0, rows);
    value_room_ = value_room_.index_select(0, rows);
    keys = key_room_.narrow(2, 0, used);
    values = value_room_.narrow(2, 0, used);
}

} // namespace bitsmith::model
