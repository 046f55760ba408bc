// SPDX-License-Identifier: GPL-3.0-or-later
// What this machine's processor is and how much memory a process may take.
#pragma once

#include <cstdint>
#include <string>

namespace bitsmith::tensor {

struct CpuInfo
{
    std::string name;
    bool fast_bf16 = false; ///< instructions that multiply bf16 (AVX512_BF16, AMX, Arm BF16)
    int64_t total_bytes = 0; ///< of the machine or of the control group, whichever is less
    int64_t free_bytes = 0;
};

CpuInfo read_cpu_info();

} // namespace bitsmith::tensor
