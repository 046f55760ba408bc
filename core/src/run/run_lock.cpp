// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/run_lock.h"

#include <bitsmith/error.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace bitsmith {

namespace {

constexpr const char* kName = "lock";
/// is_held() takes a shared lock for an instant; owners try again for this long.
constexpr int kTries = 20;
constexpr auto kPause = std::chrono::milliseconds(25);

std::string owner_of(int fd)
{
    std::array<char, 32> text{};
    const ssize_t size = ::pread(fd, text.data(), text.size() - 1, 0);
    std::string owner = size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : "";
    owner.erase(owner.find_last_not_of('\n') + 1);
    return owner.empty() ? "unknown" : owner;
}

bool try_lock(int fd)
{
    for (int i = 0; i < kTries; ++i) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
            return true;
        }
        std::this_thread::sleep_for(kPause);
    }
    return false;
}

} // namespace

RunLock::RunLock(const std::filesystem::path& folder)
{
    const std::filesystem::path file = folder / kName;
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) {
        fail(ErrorCode::WriteFailed, "cannot create the lock",
            {{"file", file.string()}, {"reason", std::strerror(errno)}});
    }
    if (!try_lock(fd_)) {
        const std::string owner = owner_of(fd_);
        ::close(fd_);
        fail(ErrorCode::InvalidSpec, "another process works on this run",
            {{"run", folder.string()}, {"process", owner}},
            "Wait for it, stop it, or choose another run folder");
    }
    const std::string owner = std::to_string(::getpid()) + "\n";
    const bool written = ::ftruncate(fd_, 0) == 0
        && ::pwrite(fd_, owner.data(), owner.size(), 0) == static_cast<ssize_t>(owner.size());
    if (!written) {
        const int error = errno;
        ::close(fd_);
        fail(ErrorCode::WriteFailed, "cannot write the lock",
            {{"file", file.string()}, {"reason", std::strerror(error)}});
    }
}

RunLock::~RunLock()
{
    ::close(fd_);
}

bool RunLock::is_held(const std::filesystem::path& folder)
{
    const int fd = ::open((folder / kName).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool held = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(fd);
    return held;
}

} // namespace bitsmith
