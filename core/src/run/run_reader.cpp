// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "run/journal.h"
#include "run/run_lock.h"
#include "run/run_record.h"

#include <bitsmith/check.h>
#include <bitsmith/run_reader.h>
#include <bitsmith/spec_json.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace bitsmith {

namespace {

namespace stdfs = std::filesystem;

/// The last record of a run is among its last bytes; a list of runs reads no more than these.
constexpr int64_t kTailBytes = 64 << 10;
/// More than this is read in several polls.
constexpr int64_t kPollBytes = 16 << 20;

/// Bytes of `file` from `offset`, at most `limit`; empty when there is no such file.
std::string read_from(const stdfs::path& file, int64_t offset, int64_t limit)
{
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    const int64_t size = in ? static_cast<int64_t>(in.tellg()) : 0;
    if (size <= offset) {
        return {};
    }
    std::string bytes(static_cast<std::size_t>(std::min(size - offset, limit)), '\0');
    in.seekg(offset);
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(in.gcount()));
    return bytes;
}

int64_t size_of(const stdfs::path& file)
{
    std::error_code error;
    const auto size = stdfs::file_size(file, error);
    return error ? 0 : static_cast<int64_t>(size);
}

JobState state_of(const stdfs::path& folder)
{
    if (RunLock::is_held(folder)) {
        return JobState::Running;
    }
    const stdfs::path journal = folder / run_files::kJournal;
    const int64_t start = std::max<int64_t>(0, size_of(journal) - kTailBytes);
    const JournalPart tail = parse_journal(read_from(journal, start, kTailBytes));
    for (auto event = tail.events.rbegin(); event != tail.events.rend(); ++event) {
        if (const auto* finished = event->get_if<JobFinished>()) {
            return finished->state;
        }
        if (event->get_if<JobStarted>() != nullptr) {
            break;
        }
    }
    return JobState::Interrupted;
}

/// Sizes of all files below `folder`; files that vanish meanwhile count nothing.
int64_t bytes_below(const stdfs::path& folder)
{
    int64_t bytes = 0;
    std::error_code error;
    for (auto it = stdfs::recursive_directory_iterator(
             folder, stdfs::directory_options::skip_permission_denied, error);
         !error && it != stdfs::recursive_directory_iterator(); it.increment(error)) {
        if (it->is_regular_file(error)) {
            bytes += size_of(it->path());
        }
        error.clear();
    }
    return bytes;
}

int64_t published_blocks(const stdfs::path& folder, int64_t blocks)
{
    int64_t count = 0;
    while (
        count < blocks && stdfs::exists(folder / run_files::numbered(run_files::kBlocks, count))) {
        ++count;
    }
    return count;
}

std::string scheme_text(const SchemeSection& section)
{
    try {
        return scheme_name(resolve_scheme(section));
    } catch (const Error&) {
        return section.scheme; // written by a later version; shown as it stands
    }
}

std::string environment(const char* name)
{
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

} // namespace

stdfs::path default_runs_folder()
{
    if (const std::string own = environment("BITSMITH_RUNS"); !own.empty()) {
        return own;
    }
    const std::string data = environment("XDG_DATA_HOME");
    const stdfs::path base =
        data.empty() ? stdfs::path(environment("HOME")) / ".local" / "share" : stdfs::path(data);
    return base / "bitsmith" / "runs";
}

RunSummary read_run(const stdfs::path& folder)
{
    const RunRecord record = read_run_record(folder);
    RunSummary summary;
    summary.folder = stdfs::absolute(folder).lexically_normal();
    summary.name = summary.folder.has_filename() ? summary.folder.filename().string()
                                                 : summary.folder.parent_path().filename().string();
    summary.model = record.spec.model.path;
    summary.scheme = scheme_text(record.spec.scheme);
    summary.recipe = record.spec.recipe.name;
    summary.state = state_of(folder);
    summary.created_ms = record.created_ms;
    summary.blocks = record.blocks;
    summary.blocks_done = published_blocks(folder, record.blocks);
    summary.bytes = bytes_below(folder);
    return summary;
}

std::vector<RunSummary> list_runs(const stdfs::path& folder)
{
    std::vector<RunSummary> runs;
    std::error_code error;
    for (auto it = stdfs::directory_iterator(folder, error);
         !error && it != stdfs::directory_iterator(); it.increment(error)) {
        if (!stdfs::exists(it->path() / run_files::kRun)) {
            continue;
        }
        try {
            runs.push_back(read_run(it->path()));
        } catch (const Error&) {
            // Not readable as a run: another program's folder, or a later version's.
        }
    }
    std::sort(runs.begin(), runs.end(), [](const RunSummary& a, const RunSummary& b) {
        return a.created_ms != b.created_ms ? a.created_ms > b.created_ms : a.name > b.name;
    });
    return runs;
}

JobSpec read_run_spec(const stdfs::path& folder)
{
    return read_run_record(folder).spec;
}

std::optional<Report> read_run_report(const stdfs::path& folder)
{
    read_run_record(folder);
    const stdfs::path file = folder / run_files::kReport;
    if (!stdfs::exists(file)) {
        return std::nullopt;
    }
    return report_from_json(read_text_file(file), file.string());
}

std::vector<Event> read_run_events(const stdfs::path& folder)
{
    read_run_record(folder);
    return RunFollower(folder).poll();
}

RunFollower::RunFollower(stdfs::path folder)
    : folder_(std::move(folder))
{ }

std::vector<Event> RunFollower::poll()
{
    std::vector<Event> events;
    const stdfs::path journal = folder_ / run_files::kJournal;
    for (;;) {
        JournalPart part = parse_journal(read_from(journal, offset_, kPollBytes));
        if (part.consumed == 0) {
            return events;
        }
        offset_ += part.consumed;
        std::move(part.events.begin(), part.events.end(), std::back_inserter(events));
    }
}

} // namespace bitsmith
