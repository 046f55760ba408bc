// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/device.h"

#include "base/text.h"
#include "base/timing.h"
#include "tensor/cpu_info.h"
#include "tensor/cuda_library.h"

#include <bitsmith/device.h>
#include <bitsmith/error.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <charconv>
#include <thread>

namespace bitsmith {

namespace {

bool multiplies_bf16(const tensor::CudaCard& card)
{
    return card.major >= 8; // Ampere and later
}

} // namespace

std::vector<DeviceInfo> list_devices()
{
    const tensor::CpuInfo cpu = tensor::read_cpu_info();
    std::vector<DeviceInfo> devices = {
        {"cpu", cpu.name, cpu.total_bytes, cpu.free_bytes, cpu.fast_bf16, ""}};
    const tensor::CudaDriver driver = tensor::read_cuda_driver();
    for (std::size_t i = 0; i < driver.cards.size(); ++i) {
        const tensor::CudaCard& card = driver.cards[i];
        devices.push_back({concat("cuda:", i), card.name, card.total_bytes, card.free_bytes,
            multiplies_bf16(card), tensor::load_torch_cuda()});
    }
    return devices;
}

namespace tensor {

namespace {

/// Number behind "cuda:"; 0 for "cuda" alone; empty when it is neither.
std::optional<std::size_t> cuda_index(std::string_view wish)
{
    if (wish == "cuda") {
        return 0;
    }
    std::size_t index = 0;
    const std::string_view digits = wish.starts_with("cuda:") ? wish.substr(5) : std::string_view();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    const bool whole =
        !digits.empty() && error == std::errc() && end == digits.data() + digits.size();
    return whole ? std::optional(index) : std::nullopt;
}

/// Why card `index` cannot be used; empty when it can. Loads the CUDA library.
std::string cuda_refusal(std::size_t index)
{
    const CudaDriver driver = read_cuda_driver();
    if (driver.cards.empty()) {
        return driver.note;
    }
    if (index >= driver.cards.size()) {
        return concat("there are ", driver.cards.size(), " cards, numbered from 0");
    }
    return load_torch_cuda();
}

c10::DeviceAllocator& allocator_of(const c10::Device& device)
{
    at::globalContext().lazyInitDevice(device.type());
    return *c10::getDeviceAllocator(device.type());
}

} // namespace

std::string resolve_device(std::string_view wish)
{
    if (wish == "cpu") {
        return "cpu";
    }
    if (wish == "auto") {
        return cuda_refusal(0).empty() ? "cuda:0" : "cpu";
    }
    const std::optional<std::size_t> index = cuda_index(wish);
    if (!index) {
        fail(ErrorCode::DeviceUnavailable, "unknown device",
            {{"found", printable(wish)}, {"allowed", "auto, cpu, cuda, cuda:N"}});
    }
    const std::string refusal = cuda_refusal(*index);
    if (!refusal.empty()) {
        fail(ErrorCode::DeviceUnavailable, "the CUDA device cannot be used",
            {{"device", std::string(wish)}, {"reason", refusal}},
            "Use --device cpu, or install the driver and the CUDA libraries of LibTorch.");
    }
    return concat("cuda:", *index);
}

c10::Device to_device(std::string_view resolved)
{
    const std::optional<std::size_t> index = cuda_index(resolved);
    BITSMITH_ASSERT(resolved == "cpu" || index.has_value());
    return index ? c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(*index))
                 : c10::Device(c10::DeviceType::CPU);
}

c10::ScalarType compute_type(const c10::Device& device)
{
    if (device.is_cpu()) {
        return read_cpu_info().fast_bf16 ? c10::ScalarType::BFloat16 : c10::ScalarType::Float;
    }
    const CudaDriver driver = read_cuda_driver();
    const auto index = static_cast<std::size_t>(device.has_index() ? device.index() : 0);
    BITSMITH_ASSERT(index < driver.cards.size());
    return multiplies_bf16(driver.cards[index]) ? c10::ScalarType::BFloat16
                                                : c10::ScalarType::Float;
}

void set_up_cpu(int64_t threads)
{
    keep_free_memory();
    const auto cores = static_cast<int64_t>(std::max(1U, std::thread::hardware_concurrency()));
    at::set_num_threads(static_cast<int>(threads > 0 ? threads : cores));
}

int64_t device_bytes_used(const c10::Device& device)
{
    if (device.is_cpu()) {
        return rss_bytes();
    }
    constexpr auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return allocator_of(device).getDeviceStats(device.index()).reserved_bytes[all].current;
}

int64_t device_bytes_peak(const c10::Device& device)
{
    if (device.is_cpu()) {
        return peak_rss_bytes();
    }
    constexpr auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return allocator_of(device).getDeviceStats(device.index()).reserved_bytes[all].peak;
}

} // namespace tensor

} // namespace bitsmith
