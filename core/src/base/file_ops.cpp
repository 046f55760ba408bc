// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/file_ops.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bitsmith {

namespace {

[[noreturn]] void fail_write(const std::string& what, const std::filesystem::path& file, int error)
{
    const bool full = error == ENOSPC || error == EDQUOT;
    fail(ErrorCode::WriteFailed, what, {{"file", file.string()}, {"reason", std::strerror(error)}},
        full ? "Free space on the volume, or choose another one."
             : "Check permissions and that the volume is present.");
}

void sync_descriptor(int fd, const std::filesystem::path& file)
{
    // Some file systems have no flush for folders and say so with EINVAL; there is nothing to do.
    if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) {
        fail_write("cannot flush to the device", file, errno);
    }
}

class DiskSink : public ByteSink
{
public:
    DiskSink(std::filesystem::path file, int fd, int64_t size)
        : file_(std::move(file))
        , fd_(fd)
        , size_(size)
    { }
    ~DiskSink() override
    {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    DiskSink(const DiskSink&) = delete;
    DiskSink& operator=(const DiskSink&) = delete;

    void write(std::span<const std::byte> bytes) override
    {
        BITSMITH_ASSERT(fd_ >= 0);
        while (!bytes.empty()) {
            const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) {
                continue;
            }
            if (written < 0) {
                fail_write("cannot write", file_, errno);
            }
            bytes = bytes.subspan(static_cast<std::size_t>(written));
            size_ += written;
        }
    }
    int64_t size() const override { return size_; }
    void finish() override
    {
        BITSMITH_ASSERT(fd_ >= 0);
        sync_descriptor(fd_, file_);
        // Network file systems report a failed write only here.
        if (::close(std::exchange(fd_, -1)) != 0) {
            fail_write("cannot close the file", file_, errno);
        }
    }

private:
    std::filesystem::path file_;
    int fd_;
    int64_t size_;
};

class Disk : public FileSystem
{
public:
    std::unique_ptr<ByteSink> create(const std::filesystem::path& file) override
    {
        return open(file, O_TRUNC);
    }
    std::unique_ptr<ByteSink> append(const std::filesystem::path& file) override
    {
        return open(file, O_APPEND);
    }
    void create_folders(const std::filesystem::path& folder) override
    {
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        if (error) {
            fail_write("cannot create the folder", folder, error.value());
        }
        if (!std::filesystem::is_directory(folder, error)) {
            fail_write("a file stands where a folder is needed", folder, ENOTDIR);
        }
    }
    void rename(const std::filesystem::path& from, const std::filesystem::path& to) override
    {
        if (::rename(from.c_str(), to.c_str()) != 0) {
            const int error = errno;
            fail_write(concat("cannot rename '", from.string(), "'"), to, error);
        }
        sync_folder(to.parent_path());
        if (from.parent_path() != to.parent_path()) {
            sync_folder(from.parent_path());
        }
    }
    void remove_all(const std::filesystem::path& path) override
    {
        std::error_code error;
        std::filesystem::remove_all(path, error);
        if (error) {
            fail_write("cannot remove", path, error.value());
        }
    }
    void sync_folder(const std::filesystem::path& folder) override
    {
        const std::filesystem::path named = folder.empty() ? std::filesystem::path(".") : folder;
        const int fd = ::open(named.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            fail_write("cannot open the folder to flush it", named, errno);
        }
        const DiskSink closer(named, fd, 0);
        sync_descriptor(fd, named);
    }

private:
    static std::unique_ptr<ByteSink> open(const std::filesystem::path& file, int mode)
    {
        const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | mode, 0666);
        if (fd < 0) {
            fail_write("cannot create the file", file, errno);
        }
        struct stat status = {};
        const int64_t size = ::fstat(fd, &status) == 0 ? status.st_size : 0;
        return std::make_unique<DiskSink>(file, fd, size);
    }
};

/// Name beside `file` that no other writer of this or another process uses.
std::filesystem::path temporary_sibling(const std::filesystem::path& file)
{
    static std::atomic<int> counter = 0;
    const std::string name =
        concat(".", file.filename().string(), ".", ::getpid(), ".", counter++, ".tmp");
    return file.parent_path() / name;
}

bool is_reserved_device_name(std::string_view name)
{
    constexpr std::array<std::string_view, 6> words = {
        "con", "prn", "aux", "nul", "conin$", "conout$"};
    std::string stem = lower(name.substr(0, name.find('.')));
    stem.erase(stem.find_last_not_of(' ') + 1);
    if (std::find(words.begin(), words.end(), stem) != words.end()) {
        return true;
    }
    return stem.size() == 4 && (stem.starts_with("com") || stem.starts_with("lpt"))
        && stem[3] >= '0' && stem[3] <= '9';
}

} // namespace

FileSystem& disk()
{
    static Disk instance;
    return instance;
}

void publish(FileSystem& fs, const std::filesystem::path& file,
    const std::function<void(const std::filesystem::path& temporary)>& write)
{
    const std::filesystem::path temporary = temporary_sibling(file);
    try {
        write(temporary);
        fs.rename(temporary, file);
    } catch (...) {
        // The first error is the one to report; the leftover is removed as well as the disk allows.
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw;
    }
}

void publish_file(FileSystem& fs, const std::filesystem::path& file, std::string_view bytes)
{
    publish(fs, file, [&](const std::filesystem::path& temporary) {
        const std::unique_ptr<ByteSink> sink = fs.create(temporary);
        sink->write(std::as_bytes(std::span(bytes.data(), bytes.size())));
        sink->finish();
    });
}

std::string read_text_file(const std::filesystem::path& file, int64_t limit)
{
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status = {};
    if (fd < 0 || ::fstat(fd, &status) != 0) {
        fail(ErrorCode::FileNotFound, "cannot open the file",
            {{"file", file.string()}, {"reason", std::strerror(errno)}});
    }
    const DiskSink closer(file, fd, 0);
    if (!S_ISREG(status.st_mode)) {
        fail(ErrorCode::FileNotFound, "not a regular file", {{"file", file.string()}});
    }
    if (status.st_size > limit) {
        fail(ErrorCode::FileCorrupt, "the file is too large for its kind",
            {{"file", file.string()}, {"found", format_bytes(status.st_size)},
                {"allowed", format_bytes(limit)}});
    }
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t at = 0;
    while (at < text.size()) {
        const ssize_t n = ::read(fd, text.data() + at, text.size() - at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            fail(ErrorCode::FileCorrupt, "cannot read the whole file",
                {{"file", file.string()},
                    {"reason", n < 0 ? std::strerror(errno) : "it became shorter meanwhile"}});
        }
        at += static_cast<std::size_t>(n);
    }
    return text;
}

int64_t free_disk_bytes(const std::filesystem::path& path)
{
    std::filesystem::path existing = std::filesystem::absolute(path);
    std::error_code error;
    while (!std::filesystem::exists(existing, error) && existing.has_relative_path()) {
        existing = existing.parent_path();
    }
    const std::filesystem::space_info space = std::filesystem::space(existing, error);
    if (error) {
        fail(ErrorCode::WriteFailed, "cannot ask the volume for its free space",
            {{"folder", existing.string()}, {"reason", error.message()}});
    }
    return static_cast<int64_t>(std::min<uintmax_t>(space.available, INT64_MAX));
}

bool is_safe_file_name(std::string_view name)
{
    if (name.empty() || name.size() > 255 || name == "." || name == "..") {
        return false;
    }
    const bool has_forbidden = std::any_of(name.begin(), name.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F
            || std::string_view("/\\:<>\"|?*").find(c) != std::string_view::npos;
    });
    const bool bad_end = name.back() == '.' || name.back() == ' ' || name.front() == ' ';
    return !has_forbidden && !bad_end && !is_reserved_device_name(name);
}

} // namespace bitsmith
