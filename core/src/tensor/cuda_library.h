// SPDX-License-Identifier: GPL-3.0-or-later
// NVIDIA cards without any CUDA header or link: the driver's C interface and libtorch_cuda are loaded
// by dlopen when they are present.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bitsmith::tensor {

/// A card as the driver describes it; the index is that of "cuda:N".
struct CudaCard
{
    std::string name;
    int64_t total_bytes = 0;
    int64_t free_bytes = 0; ///< equals total_bytes when the driver's management library is missing
    int major = 0, minor = 0; ///< compute capability
};

struct CudaDriver
{
    std::vector<CudaCard> cards;
    std::string note; ///< why there are no cards; empty when there are
};

/// Asks the driver; creates no context on any card. Free memory is that of now. Any thread.
CudaDriver read_cuda_driver();

/// Loads libtorch_cuda.so from the folder of libtorch_cpu.so, which registers its kernels; done once
/// per process. Returns the reason when it cannot be used, otherwise an empty text. Any thread.
const std::string& load_torch_cuda();

} // namespace bitsmith::tensor
