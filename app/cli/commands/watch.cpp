// SPDX-License-Identifier: GPL-3.0-or-later
#include "watch.h"

namespace bitsmith::cli {

void add_json_option(CLI::App& app, bool& json)
{
    app.add_flag("--json", json, "print exactly one JSON document on stdout");
}

void add_watch_options(CLI::App& app, WatchOptions& options)
{
    add_json_option(app, options.json);
    app.add_flag("--quiet", options.quiet, "no progress on stderr");
    app.add_option("--events", options.events, "one JSON line per event; - for stdout")
        ->type_name("FILE");
    app.callback([&options] {
        if (options.json && options.events == "-") {
            throw CLI::ValidationError(
                "--events -", "stdout can hold the events or the one document of --json");
        }
    });
}

Watch::Watch(const WatchOptions& options, Console& console)
    : results_(options.events == "-" ? console.err : console.out)
    , interrupts_(control_)
{
    std::vector<Observer*> observers;
    if (!options.quiet) {
        observers.push_back(&progress_.emplace(console));
    }
    if (!options.events.empty()) {
        observers.push_back(&writer_.emplace(options.events, console.out));
    }
    fan_out_.emplace(std::move(observers));
}

void Watch::finish()
{
    progress_.reset(); // takes its live line away before results are printed
    fan_out_.emplace(std::vector<Observer*>{});
    if (writer_) {
        writer_->finish();
    }
}

} // namespace bitsmith::cli
