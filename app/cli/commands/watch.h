// SPDX-License-Identifier: GPL-3.0-or-later
// What every long command shares: --json, --events, progress on stderr, Ctrl-C.
#pragma once

#include "console_observer.h"
#include "event_writer.h"
#include "interrupt.h"

#include <CLI/CLI.hpp>

#include <optional>
#include <string>

namespace bitsmith::cli {

struct WatchOptions
{
    bool json = false;
    bool quiet = false;
    std::string events;
};

/// --json, --events, --quiet.
void add_watch_options(CLI::App& app, WatchOptions& options);
/// --json alone.
void add_json_option(CLI::App& app, bool& json);

/// Observers and signal handling for the time of one command.
class Watch
{
public:
    Watch(const WatchOptions& options, Console& console);

    Observer& observer() { return *fan_out_; }
    const RunControl& control() const { return control_; }
    /// Stream for results: stdout, or stderr when --events - has taken stdout.
    std::ostream& results() { return results_; }
    /// Throws WriteFailed when events were lost.
    void finish();

private:
    RunControl control_;
    std::optional<ConsoleObserver> progress_;
    std::optional<EventWriter> writer_;
    std::optional<FanOutObserver> fan_out_;
    std::ostream& results_;
    InterruptScope interrupts_;
};

} // namespace bitsmith::cli
