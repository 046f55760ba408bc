// SPDX-License-Identifier: GPL-3.0-or-later
// One process per run: an exclusive flock on the file "lock", which names its owner. The system
// drops it with the process, so a lock is never stale.
#pragma once

#include <filesystem>

namespace bitsmith {

class RunLock
{
public:
    /// Throws InvalidSpec naming the owner when another process holds it, WriteFailed when the
    /// file cannot be made.
    explicit RunLock(const std::filesystem::path& folder);
    ~RunLock();
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;

    /// Does some process hold the lock of `folder`?
    static bool is_held(const std::filesystem::path& folder);

private:
    int fd_ = -1;
};

} // namespace bitsmith
