// SPDX-License-Identifier: GPL-3.0-or-later
// Something that runs a job on the calling thread and reports events. The controller owns the
// thread; a runner in another process would be one more class here.
#pragma once

#include <bitsmith/job.h>

namespace bitsmith::gui {

class Runner
{
public:
    virtual ~Runner() = default;
    /// Blocks until the job has ended. Must not throw; `control` may be used from another thread.
    virtual Outcome run(
        const JobSpec& spec, bool resume, Observer& observer, RunControl control) = 0;
};

/// Runs jobs in this process. The only caller of bitsmith::run.
class ThreadRunner : public Runner
{
public:
    Outcome run(const JobSpec& spec, bool resume, Observer& observer, RunControl control) override;
};

/// Plays recorded events as if they happened now, in place of a job. For tests and measurements.
class ReplayRunner : public Runner
{
public:
    /// `speed`: recorded time over played time; 0 plays without waiting.
    explicit ReplayRunner(std::vector<Event> events, double speed = 0);

    Outcome run(const JobSpec& spec, bool resume, Observer& observer, RunControl control) override;

private:
    std::vector<Event> m_events;
    double m_speed;
};

} // namespace bitsmith::gui
