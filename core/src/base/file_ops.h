// SPDX-License-Identifier: GPL-3.0-or-later
// Writing that survives a kill and a full disk: every write, flush, close and rename is checked,
// files and folders are flushed to the device, and a result appears under its name in one rename.
//
// FileSystem is an interface so that tests can fail the n-th operation.
#pragma once

#include "base/mapped_file.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace bitsmith {

/// The operations that change a disk. All throw WriteFailed naming file and reason.
class FileSystem
{
public:
    virtual ~FileSystem() = default;
    /// Creates or truncates.
    virtual std::unique_ptr<ByteSink> create(const std::filesystem::path& file) = 0;
    /// Opens for appending, creates when absent.
    virtual std::unique_ptr<ByteSink> append(const std::filesystem::path& file) = 0;
    virtual void create_folders(const std::filesystem::path& folder) = 0;
    /// Replaces `to` when it is a file. Flushes the parent folder.
    virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
    virtual void remove_all(const std::filesystem::path& path) = 0;
    virtual void sync_folder(const std::filesystem::path& folder) = 0;
};

/// The real one.
FileSystem& disk();

/// Calls `write` with a sibling temporary name, then renames to `file`: readers see the old content
/// or the new one. `write` must finish() its sink. The leftover is removed when anything throws.
void publish(FileSystem& fs, const std::filesystem::path& file,
    const std::function<void(const std::filesystem::path& temporary)>& write);
/// The same for bytes in memory.
void publish_file(FileSystem& fs, const std::filesystem::path& file, std::string_view bytes);

/// Whole file as text; throws FileNotFound, and FileCorrupt above `limit` bytes.
std::string read_text_file(const std::filesystem::path& file, int64_t limit = 256LL << 20);

/// Free bytes of the volume that holds `path` or its nearest existing parent.
int64_t free_disk_bytes(const std::filesystem::path& path);

/// Is `name` a plain file name that is safe on every platform: no separators, "..", drive letters,
/// streams, reserved device names, control characters? (ahead.md 4.7)
bool is_safe_file_name(std::string_view name);

/// Lower-case hex SHA-256 of a file or of bytes.
std::string sha256_file(const std::filesystem::path& file);
std::string sha256(std::span<const std::byte> bytes);

} // namespace bitsmith
