// SPDX-License-Identifier: GPL-3.0-or-later
// The stages of a quantization job in order. The only place that knows all parts.
#pragma once

#include <bitsmith/job.h>

namespace bitsmith {

/// Checks, opens, tunes, exports, measures. Throws Error and Cancelled; run() catches.
class JobRunner
{
public:
    /// `observer` receives every event; it must outlive the runner.
    JobRunner(const JobSpec& spec, bool resume, Observer& observer, RunControl control);
    ~JobRunner();

    void run();
    /// What is known so far, also after an exception.
    const Report& report() const;
    /// Last event of the job and the last record of its journal.
    void finish(JobState state, const Error* error);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace bitsmith
