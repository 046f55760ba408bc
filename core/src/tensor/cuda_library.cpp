// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/cuda_library.h"

#include "base/text.h"

#include <ATen/Context.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <array>
#include <dlfcn.h>
#include <filesystem>

namespace bitsmith::tensor {

namespace {

/// A shared library that stays loaded for the life of the process: drivers do not survive unloading.
class Library
{
public:
    explicit Library(const char* name)
        : handle_(::dlopen(name, RTLD_NOW | RTLD_LOCAL))
    { }
    bool loaded() const { return handle_ != nullptr; }

    /// Calls a C function that returns a status; -1 when the library has no such function.
    template <class... Arguments>
    int call(const char* function, Arguments... arguments) const
    {
        using Function = int (*)(Arguments...);
        // dlsym gives a data pointer; POSIX guarantees that it converts to the function's type.
        const auto address =
            handle_ == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(handle_, function));
        return address == nullptr ? -1 : address(arguments...);
    }

private:
    void* handle_;
};

constexpr int kComputeMajor = 75, kComputeMinor = 76; // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

/// Layout of nvmlMemory_t.
struct NvmlMemory
{
    unsigned long long total = 0, free = 0, used = 0;
};

/// Free bytes by the management library, which needs no context on the card; `otherwise` without it.
int64_t free_bytes_of(const char* bus_id, int64_t otherwise)
{
    static const Library nvml("libnvidia-ml.so.1");
    static const bool ready = nvml.call("nvmlInit_v2") == 0;
    void* card = nullptr;
    NvmlMemory memory;
    const bool known = ready && nvml.call("nvmlDeviceGetHandleByPciBusId_v2", bus_id, &card) == 0
        && nvml.call("nvmlDeviceGetMemoryInfo", card, &memory) == 0;
    return known ? static_cast<int64_t>(memory.free) : otherwise;
}

CudaCard read_card(const Library& driver, int index)
{
    CudaCard card;
    int device = 0;
    std::array<char, 256> name = {};
    std::array<char, 32> bus_id = {};
    std::size_t total = 0;
    driver.call("cuDeviceGet", &device, index);
    driver.call("cuDeviceGetName", name.data(), static_cast<int>(name.size()), device);
    driver.call("cuDeviceTotalMem_v2", &total, device);
    driver.call("cuDeviceGetAttribute", &card.major, kComputeMajor, device);
    driver.call("cuDeviceGetAttribute", &card.minor, kComputeMinor, device);
    driver.call("cuDeviceGetPCIBusId", bus_id.data(), static_cast<int>(bus_id.size()), device);
    card.name = name.data();
    card.total_bytes = static_cast<int64_t>(total);
    card.free_bytes = free_bytes_of(bus_id.data(), card.total_bytes);
    return card;
}

std::string try_load_torch_cuda()
{
    Dl_info info = {};
    const auto address = reinterpret_cast<void*>(&at::globalContext);
    if (::dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
        return "the folder of LibTorch cannot be found";
    }
    const std::filesystem::path file =
        std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
    std::error_code error;
    if (!std::filesystem::exists(file, error)) {
        return "this LibTorch was built without CUDA (no libtorch_cuda.so)";
    }
    if (::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
        const char* reason = ::dlerror();
        return concat("libtorch_cuda.so cannot be loaded: ", reason == nullptr ? "?" : reason);
    }
    if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) {
        return "libtorch_cuda.so was loaded but registered no CUDA device";
    }
    return {};
}

} // namespace

CudaDriver read_cuda_driver()
{
    static const Library driver("libcuda.so.1");
    CudaDriver result;
    if (!driver.loaded()) {
        result.note = "no NVIDIA driver (libcuda.so.1 is not installed)";
        return result;
    }
    static const int status = driver.call("cuInit", 0U);
    int count = 0;
    if (status != 0 || driver.call("cuDeviceGetCount", &count) != 0 || count == 0) {
        result.note = status == 0 ? "the NVIDIA driver sees no card"
                                  : concat("the NVIDIA driver does not start (error ", status, ")");
        return result;
    }
    for (int i = 0; i < count; ++i) {
        result.cards.push_back(read_card(driver, i));
    }
    return result;
}

const std::string& load_torch_cuda()
{
    static const std::string reason = try_load_torch_cuda();
    return reason;
}

} // namespace bitsmith::tensor
