// SPDX-License-Identifier: GPL-3.0-or-later
// Read-only memory maps, and byte readers/writers with twins in memory so that format tests need no
// disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitsmith {

/// Bytes that can be read at any offset. Thread-safe.
class ByteSource
{
public:
    virtual ~ByteSource() = default;
    /// All bytes, valid while the source lives. For headers, right after opening: a page of a file
    /// that was cut short since then ends the process, and pages once touched count as memory.
    virtual std::span<const std::byte> bytes() const = 0;
    /// Copies the `to.size()` bytes that begin at `offset`; for data. Throws FileCorrupt where the
    /// file no longer has them.
    virtual void read(std::size_t offset, std::span<std::byte> to) const = 0;
    /// Name for messages.
    virtual const std::string& name() const = 0;
    /// Throws FileCorrupt when the file behind the bytes changed since it was opened (size or
    /// time).
    virtual void check_unchanged() const { }
};

/// Maps a whole file read-only. Throws FileNotFound (also for a folder) and FileCorrupt for an
/// empty file.
std::shared_ptr<const ByteSource> map_file(const std::filesystem::path& file);

/// Bytes owned by the source.
std::shared_ptr<const ByteSource> memory_source(std::vector<std::byte> bytes, std::string name);

/// Receives bytes in order.
class ByteSink
{
public:
    virtual ~ByteSink() = default;
    /// Throws WriteFailed with the file and the system's reason.
    virtual void write(std::span<const std::byte> bytes) = 0;
    virtual int64_t size() const = 0;
    /// Flushes to the device and closes; throws WriteFailed.
    virtual void finish() = 0;
};

} // namespace bitsmith
