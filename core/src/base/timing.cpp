// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/timing.h"

#include <fstream>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace bitsmith {

namespace {

/// Value in bytes of a line "Name:   123 kB" of /proc/self/status; 0 where there is no such file.
int64_t status_bytes(const std::string& name)
{
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line)) {
        if (line.compare(0, name.size(), name) == 0) {
            return std::stoll(line.substr(name.size() + 1)) * 1024;
        }
    }
    return 0;
}

} // namespace

int64_t rss_bytes()
{
    return status_bytes("VmRSS");
}
int64_t peak_rss_bytes()
{
    return status_bytes("VmHWM");
}

void keep_free_memory()
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

void release_free_memory()
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

int64_t now_ms()
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch())
        .count();
}

} // namespace bitsmith
