// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/cpu_info.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

namespace bitsmith::tensor {

namespace {

/// Text behind "key : " of the first such line; empty when there is none.
std::string value_of(const char* file, const std::string& key)
{
    std::ifstream in(file);
    std::string line;
    while (std::getline(in, line)) {
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos && line.compare(0, key.size(), key) == 0) {
            const std::size_t start = line.find_first_not_of(" \t", colon + 1);
            return start == std::string::npos ? std::string() : line.substr(start);
        }
    }
    return {};
}

int64_t meminfo_bytes(const std::string& key)
{
    int64_t kib = 0;
    std::istringstream(value_of("/proc/meminfo", key)) >> kib;
    return kib * 1024;
}

std::optional<int64_t> number_in(const char* file)
{
    std::ifstream in(file);
    int64_t value = 0;
    // "max" is no number: no limit.
    return in >> value ? std::optional(value) : std::nullopt;
}

bool has_word(const std::string& text, const std::string& word)
{
    std::istringstream in(text);
    std::string item;
    while (in >> item) {
        if (item == word) {
            return true;
        }
    }
    return false;
}

} // namespace

CpuInfo read_cpu_info()
{
    CpuInfo info;
    info.name = value_of("/proc/cpuinfo", "model name");
    if (info.name.empty()) {
        info.name = std::to_string(std::thread::hardware_concurrency()) + " cores";
    }
    const std::string flags = value_of("/proc/cpuinfo", "flags");
    info.fast_bf16 = has_word(flags, "avx512_bf16") || has_word(flags, "amx_bf16")
        || has_word(value_of("/proc/cpuinfo", "Features"), "bf16");
    info.total_bytes = meminfo_bytes("MemTotal");
    info.free_bytes = meminfo_bytes("MemAvailable");
    // A container may have less than the machine.
    const auto limit = number_in("/sys/fs/cgroup/memory.max");
    const auto used = number_in("/sys/fs/cgroup/memory.current");
    if (limit && *limit < info.total_bytes) {
        info.total_bytes = *limit;
        info.free_bytes =
            std::min(info.free_bytes, std::max<int64_t>(0, *limit - used.value_or(0)));
    }
    return info;
}

} // namespace bitsmith::tensor
