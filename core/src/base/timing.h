// SPDX-License-Identifier: GPL-3.0-or-later
// Stopwatch and memory figures of this process.
#pragma once

#include <chrono>
#include <cstdint>

namespace bitsmith {

class Stopwatch
{
public:
    Stopwatch()
        : start_(std::chrono::steady_clock::now())
    { }
    double seconds() const
    {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_;
};

int64_t rss_bytes();
int64_t peak_rss_bytes();
/// From here on memory that is freed stays with this process, up to half a gigabyte of it; buffers
/// of 64 MiB and more go back at once. Otherwise every step takes and clears its pages anew: tuning
/// spent 15 % of its time on that.
void keep_free_memory();
/// Gives memory that the allocator keeps for reuse back to the system; milliseconds.
void release_free_memory();
int64_t now_ms(); ///< since the Unix epoch

} // namespace bitsmith
