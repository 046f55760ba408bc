// SPDX-License-Identifier: GPL-3.0-or-later
// Reads run folders, finished, running or crashed.
#pragma once

#include <bitsmith/event.h>
#include <bitsmith/job_spec.h>
#include <bitsmith/report.h>

#include <filesystem>
#include <vector>

namespace bitsmith {

/// One run folder in a list.
struct RunSummary
{
    std::filesystem::path folder;
    std::string name; ///< last part of the folder
    std::string model;
    std::string scheme;
    std::string recipe;
    JobState state =
        JobState::Interrupted; ///< Interrupted: the process is gone without a final record
    int64_t created_ms = 0;
    int64_t blocks_done = 0;
    int64_t blocks = 0;
    int64_t bytes = 0; ///< on disk
};

/// Folder under which runs are made when none is given: $BITSMITH_RUNS, else
/// $XDG_DATA_HOME/bitsmith/runs.
std::filesystem::path default_runs_folder();

/// All run folders directly under `folder`, newest first; folders that are not runs are skipped.
std::vector<RunSummary> list_runs(const std::filesystem::path& folder);

/// Throws FileNotFound when `folder` holds no run.json, FileCorrupt when it cannot be read.
RunSummary read_run(const std::filesystem::path& folder);
JobSpec read_run_spec(const std::filesystem::path& folder);
std::optional<Report> read_run_report(const std::filesystem::path& folder);

/// Every whole event of the journal, in order, over all starts of the run. A torn last record is
/// dropped.
std::vector<Event> read_run_events(const std::filesystem::path& folder);

/// Follows a journal that another process or thread is writing.
class RunFollower
{
public:
    explicit RunFollower(std::filesystem::path folder);
    /// Events that were appended since the last call.
    std::vector<Event> poll();

private:
    std::filesystem::path folder_;
    int64_t offset_ = 0;
};

} // namespace bitsmith
