// SPDX-License-Identifier: GPL-3.0-or-later
// Devices. CUDA is loaded by dlopen when it is wanted and present; nothing of it is linked.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>
#include <string_view>

namespace bitsmith::tensor {

/// "auto", "cpu", "cuda", "cuda:N" -> "cpu" or "cuda:N". Throws DeviceUnavailable with what was
/// tried.
std::string resolve_device(std::string_view wish);
c10::Device to_device(std::string_view resolved);
/// Element type that computations run in: bf16 where the device is fast at it, otherwise fp32.
c10::ScalarType compute_type(const c10::Device& device);
/// Before anything is computed: LibTorch's thread count, 0: all cores; and memory that is freed is
/// kept for reuse.
void set_up_cpu(int64_t threads);
/// Bytes that this process holds on the device: of the process for the CPU, taken from the card by
/// LibTorch's allocator for CUDA.
int64_t device_bytes_used(const c10::Device& device);
int64_t device_bytes_peak(const c10::Device& device);

} // namespace bitsmith::tensor
