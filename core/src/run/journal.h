// SPDX-License-Identifier: GPL-3.0-or-later
// The append-only record of a run's events.
//
// Layout: one record per line: CRC-32 of the JSON text (8 hex digits), a space, the event as one
// line of JSON, a newline. A kill can tear the last line; a later start puts a newline after it and
// goes on, and readers skip lines whose checksum does not match.
#pragma once

#include "base/file_ops.h"
#include "base/timing.h"

#include <bitsmith/event.h>

#include <filesystem>

namespace bitsmith {

/// A whole line of a journal, newline included.
std::string journal_line(const Event& event);

struct JournalPart
{
    std::vector<Event> events; ///< of whole records; kinds of later versions are skipped
    int64_t consumed = 0; ///< bytes up to and including the last newline
};
JournalPart parse_journal(std::string_view bytes);

/// Writes events; one thread.
class JournalWriter
{
public:
    /// Opens for appending, creates when absent. `fs` must outlive the writer.
    JournalWriter(FileSystem& fs, std::filesystem::path file);
    /// Hands the record to the system; flushes to the device when the last flush is a second ago.
    /// Throws WriteFailed.
    void append(const Event& event);
    /// To the device.
    void flush();

private:
    void open();

    FileSystem& fs_;
    std::filesystem::path file_;
    std::unique_ptr<ByteSink> sink_;
    bool torn_; ///< the file ends inside a line
    bool pending_ = false; ///< records that are not on the device yet
    Stopwatch since_flush_;
};

} // namespace bitsmith
