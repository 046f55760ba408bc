// SPDX-License-Identifier: GPL-3.0-or-later
// Ctrl-C: the first cancels the job at its next safe point, the second ends the program at once.
#pragma once

#include <bitsmith/control.h>

#include <thread>

namespace bitsmith::cli {

/// Listens to SIGINT and SIGTERM while it lives; one at a time.
class InterruptScope
{
public:
    explicit InterruptScope(RunControl control);
    ~InterruptScope();
    InterruptScope(const InterruptScope&) = delete;
    InterruptScope& operator=(const InterruptScope&) = delete;

private:
    std::thread watcher_;
};

} // namespace bitsmith::cli
