// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/mapped_file.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace bitsmith {

namespace {

/// Owns a file descriptor.
class Descriptor
{
public:
    explicit Descriptor(int fd)
        : fd_(fd)
    { }
    Descriptor(Descriptor&& other) noexcept
        : fd_(std::exchange(other.fd_, -1))
    { }
    ~Descriptor()
    {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    Descriptor& operator=(Descriptor&&) = delete;
    int get() const { return fd_; }

private:
    int fd_;
};

class MappedFile : public ByteSource
{
public:
    MappedFile(std::string name, Descriptor fd, void* data, const struct stat& status)
        : name_(std::move(name))
        , fd_(std::move(fd))
        , data_(data)
        , status_(status)
    { }
    ~MappedFile() override { ::munmap(data_, size()); }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::span<const std::byte> bytes() const override
    {
        return {static_cast<const std::byte*>(data_), size()};
    }
    const std::string& name() const override { return name_; }

    void read(std::size_t offset, std::span<std::byte> to) const override
    {
        while (!to.empty()) {
            const ssize_t count =
                ::pread(fd_.get(), to.data(), to.size(), static_cast<off_t>(offset));
            if (count < 0 && errno == EINTR) {
                continue;
            }
            if (count <= 0) {
                fail(ErrorCode::FileCorrupt, "cannot read from a file in use",
                    {{"file", name_}, {"offset", std::to_string(offset)},
                        {"reason", count < 0 ? std::strerror(errno) : "the file ends here now"},
                        {"size when opened", std::to_string(status_.st_size)}},
                    "Put the file back as it was and resume.");
            }
            offset += static_cast<std::size_t>(count);
            to = to.subspan(static_cast<std::size_t>(count));
        }
    }

    void check_unchanged() const override
    {
        struct stat now = {};
        if (::stat(name_.c_str(), &now) != 0) {
            fail(ErrorCode::FileCorrupt, "file vanished while it was in use",
                {{"file", name_}, {"reason", std::strerror(errno)}},
                "Put the file back and resume.");
        }
        const bool same = now.st_size == status_.st_size
            && now.st_mtim.tv_sec == status_.st_mtim.tv_sec
            && now.st_mtim.tv_nsec == status_.st_mtim.tv_nsec && now.st_ino == status_.st_ino;
        if (!same) {
            fail(ErrorCode::FileCorrupt, "file changed while it was in use",
                {{"file", name_}, {"size when opened", std::to_string(status_.st_size)},
                    {"size now", std::to_string(now.st_size)}},
                "Do not write to a model while it is being read; start again.");
        }
    }

private:
    std::size_t size() const { return static_cast<std::size_t>(status_.st_size); }

    std::string name_;
    Descriptor fd_;
    void* data_;
    struct stat status_;
};

class MemorySource : public ByteSource
{
public:
    MemorySource(std::vector<std::byte> bytes, std::string name)
        : bytes_(std::move(bytes))
        , name_(std::move(name))
    { }
    std::span<const std::byte> bytes() const override { return bytes_; }
    const std::string& name() const override { return name_; }
    void read(std::size_t offset, std::span<std::byte> to) const override
    {
        BITSMITH_ASSERT(offset <= bytes_.size() && to.size() <= bytes_.size() - offset);
        std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
    }

private:
    std::vector<std::byte> bytes_;
    std::string name_;
};

} // namespace

std::shared_ptr<const ByteSource> map_file(const std::filesystem::path& file)
{
    const std::string name = file.string();
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    Descriptor fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status = {};
    if (fd.get() < 0 || ::fstat(fd.get(), &status) != 0) {
        fail(ErrorCode::FileNotFound, "cannot open the file",
            {{"file", name}, {"reason", std::strerror(errno)}});
    }
    if (!S_ISREG(status.st_mode)) {
        fail(ErrorCode::FileNotFound,
            S_ISDIR(status.st_mode) ? "a folder stands where a file is needed"
                                    : "not a regular file",
            {{"file", name}});
    }
    if (status.st_size == 0) {
        fail(ErrorCode::FileCorrupt, "the file is empty (0 bytes)", {{"file", name}},
            "Download or copy it again.");
    }
    void* data = ::mmap(
        nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (data == MAP_FAILED) {
        fail(ErrorCode::FileNotFound, "cannot map the file into memory",
            {{"file", name}, {"reason", std::strerror(errno)}});
    }
    return std::make_shared<MappedFile>(name, std::move(fd), data, status);
}

std::shared_ptr<const ByteSource> memory_source(std::vector<std::byte> bytes, std::string name)
{
    return std::make_shared<MemorySource>(std::move(bytes), std::move(name));
}

} // namespace bitsmith
