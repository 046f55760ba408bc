// SPDX-License-Identifier: GPL-3.0-or-later
// Devices that a job can run on.
#pragma once

#include <bitsmith/fields.h>

#include <string>
#include <vector>

namespace bitsmith {

struct DeviceInfo
{
    std::string id; ///< "cpu", "cuda:0"
    std::string name; ///< of the processor or card
    int64_t total_bytes = 0;
    int64_t free_bytes = 0;
    bool fast_bf16 = false; ///< bf16 products are faster than fp32
    std::string note; ///< why the device cannot be used; empty when it can
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, DeviceInfo>
void visit_fields(Visitor& v, Self& d)
{
    v("id", d.id, any_value(), "device");
    v("name", d.name, any_value(), "processor or card");
    v("total_bytes", d.total_bytes, range(0, 1e18, "bytes"), "memory");
    v("free_bytes", d.free_bytes, range(0, 1e18, "bytes"), "free memory");
    v("fast_bf16", d.fast_bf16, any_value(), "bf16 arithmetic in hardware");
    v("note", d.note, any_value(), "why it cannot be used");
}

/// The CPU first, then CUDA devices when libtorch_cuda can be loaded. Does not throw.
std::vector<DeviceInfo> list_devices();

} // namespace bitsmith
