// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/journal.h"

#include "run/checksum.h"

#include <bitsmith/spec_json.h>

#include <fstream>

namespace bitsmith {

namespace {

constexpr std::size_t kCrcLength = 8;
constexpr double kFlushSeconds = 1;

bool ends_inside_line(const std::filesystem::path& file)
{
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    if (!in || in.tellg() <= 0) {
        return false;
    }
    in.seekg(-1, std::ios::end);
    return in.get() != '\n';
}

/// Empty for a torn or foreign line and for a kind that is not known.
std::optional<Event> read_record(std::string_view line)
{
    if (line.size() <= kCrcLength || line[kCrcLength] != ' ') {
        return std::nullopt;
    }
    const std::string_view json = line.substr(kCrcLength + 1);
    if (line.substr(0, kCrcLength) != crc_text(crc32(json))) {
        return std::nullopt;
    }
    return event_from_json(json);
}

} // namespace

std::string journal_line(const Event& event)
{
    const std::string json = to_json_line(event);
    return crc_text(crc32(json)) + " " + json + "\n";
}

JournalPart parse_journal(std::string_view bytes)
{
    JournalPart part;
    for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
        if (auto event = read_record(bytes.substr(0, end))) {
            part.events.push_back(std::move(*event));
        }
        part.consumed += static_cast<int64_t>(end) + 1;
        bytes.remove_prefix(end + 1);
    }
    return part;
}

JournalWriter::JournalWriter(FileSystem& fs, std::filesystem::path file)
    : fs_(fs)
    , file_(std::move(file))
    , torn_(ends_inside_line(file_))
{
    open();
}

void JournalWriter::open()
{
    sink_ = fs_.append(file_);
}

void JournalWriter::append(const Event& event)
{
    if (!sink_) {
        open();
    }
    const std::string line = (torn_ ? "\n" : "") + journal_line(event);
    torn_ = true; // until the whole line is written
    sink_->write(std::as_bytes(std::span(line.data(), line.size())));
    torn_ = false;
    pending_ = true;
    if (since_flush_.seconds() >= kFlushSeconds) {
        flush();
    }
}

void JournalWriter::flush()
{
    if (pending_ && sink_) {
        // A sink flushes when it is closed; the next record opens the file again.
        const std::unique_ptr<ByteSink> sink = std::move(sink_);
        sink->finish();
        pending_ = false;
    }
    since_flush_ = Stopwatch();
}

} // namespace bitsmith
