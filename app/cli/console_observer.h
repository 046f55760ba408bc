// SPDX-License-Identifier: GPL-3.0-or-later
// Shows a job to a person: on a terminal one line that is redrawn, otherwise plain lines at
// sensible intervals. Folds the event stream only; asks nothing of the core.
#pragma once

#include "console.h"

#include <bitsmith/observer.h>

#include <string>

namespace bitsmith::cli {

class ConsoleObserver : public Observer
{
public:
    explicit ConsoleObserver(Console console)
        : console_(console)
    { }
    ~ConsoleObserver() override { clear_line(); }

    void on_event(const Event& event) override;

private:
    void show(const JobStarted& e);
    void show(const StageStarted& e);
    void show(const StageFinished& e);
    void show(const StageProgress& e);
    void show(const CalibrationReady& e);
    void show(const PlanReady& e);
    void show(const BlockStarted& e);
    void show(const IterationDone& e);
    void show(const BlockFinished& e);
    void show(const ExportFinished& e);
    void show(const MetricReady& e);
    void show(const MemorySample& e);
    void show(const Warning& e);
    void show(const JobPaused& e);
    void show(const JobResumed& e);
    template <class Other>
    void show(const Other&)
    { }

    /// A line that stays.
    void print(const std::string& line);
    /// What is going on now: redrawn on a terminal, printed once in a while elsewhere.
    void update(const std::string& line, bool important);
    void clear_line();
    std::string bar(double done) const;
    /// " ETA 3 min 05 s", or nothing before the first block is finished.
    std::string eta() const;
    /// The same of a stage that counts something else.
    std::string stage_eta(const StageProgress& e);

    Console console_;
    int64_t now_ms_ = 0;
    int64_t last_update_ms_ = 0;
    bool line_shown_ = false;

    int64_t blocks_ = 0;
    int64_t iters_ = 0; ///< of the current block
    int64_t finished_ = 0; ///< blocks, with those of an earlier start
    double block_seconds_ = 0; ///< spent on the blocks computed by this start
    int64_t computed_ = 0; ///< number of those
    int64_t block_start_ms_ = 0;
    int64_t rss_bytes_ = 0;
    StageProgress counted_from_; ///< of the stage and unit that are counted now
    int64_t counted_from_ms_ = 0;
};

} // namespace bitsmith::cli
