// SPDX-License-Identifier: GPL-3.0-or-later
// runs list|show|follow|delete.
#include "commands.h"
#include "result_table.h"
#include "run_name.h"
#include "text_format.h"
#include "watch.h"

#include <bitsmith/documents.h>
#include <bitsmith/spec_json.h>

#include <chrono>

namespace bitsmith::cli {

namespace {

constexpr auto kFollowInterval = std::chrono::milliseconds(200);

struct Options
{
    std::string runs, run;
    bool yes = false;
    WatchOptions watch;
};

std::filesystem::path runs_folder(const Options& options)
{
    return options.runs.empty() ? default_runs_folder() : std::filesystem::path(options.runs);
}

int list(const Options& options, Console& console)
{
    const auto runs = list_runs(runs_folder(options));
    if (options.watch.json) {
        console.out << runs_document(runs);
        return kExitDone;
    }
    std::vector<std::vector<std::string>> rows = {
        {"name", "state", "blocks", "scheme", "recipe", "size", "created", "model"}};
    for (const RunSummary& run : runs) {
        rows.push_back({run.name, std::string(enum_name(run.state)),
            std::to_string(run.blocks_done) + "/" + std::to_string(run.blocks), run.scheme,
            run.recipe, bytes_text(run.bytes), time_text(run.created_ms), run.model});
    }
    print_columns(console.out, rows, true);
    if (runs.empty()) {
        console.err << "no runs in " << runs_folder(options).string() << '\n';
    }
    return kExitDone;
}

int show(const Options& options, Console& console)
{
    const auto folder = find_run(options.run);
    const RunSummary run = read_run(folder);
    const auto report = read_run_report(folder);
    if (options.watch.json) {
        console.out << run_document(run, read_run_spec(folder), report);
        return kExitDone;
    }
    print_columns(console.out,
        {{"state", std::string(enum_name(run.state))},
            {"blocks", std::to_string(run.blocks_done) + " of " + std::to_string(run.blocks)},
            {"created", time_text(run.created_ms)}, {"folder", run.folder.string()}});
    if (report) {
        print_report(console.out, *report, 0);
    }
    return kExitDone;
}

int follow(const Options& options, Console& console)
{
    const auto folder = find_run(options.run);
    JobState state = read_run(folder).state;
    Watch watch(options.watch, console);
    RunFollower follower(folder);
    while (!watch.control().cancelled()) {
        // The state is asked first: events written before it changed are then all seen.
        state = read_run(folder).state;
        for (const Event& event : follower.poll()) {
            watch.observer().on_event(event);
        }
        if (state != JobState::Running) {
            break;
        }
        std::this_thread::sleep_for(kFollowInterval);
    }
    watch.finish();
    const auto report = read_run_report(folder);
    if (options.watch.json) {
        console.out << run_document(read_run(folder), read_run_spec(folder), report);
    } else if (report && state != JobState::Running) {
        print_report(watch.results(), *report, 0);
    }
    watch.results() << std::flush;
    switch (state) {
    case JobState::Done:
    case JobState::Running: // the user stopped watching, not the run
        return kExitDone;
    case JobState::Cancelled:
        return kExitCancelled;
    default:
        return kExitFailed;
    }
}

int remove(const Options& options, Console& console)
{
    const auto folder = find_run(options.run);
    const RunSummary run = read_run(folder);
    if (run.state == JobState::Running) {
        fail(ErrorCode::InvalidSpec, "the run is being worked on", {{"run", folder.string()}},
            "Cancel it first");
    }
    if (!options.yes) {
        fail(ErrorCode::InvalidSpec, "deleting a run cannot be undone",
            {{"run", run.folder.string()}, {"size", bytes_text(run.bytes)}},
            "Add --yes to delete it");
    }
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (error) {
        fail(ErrorCode::WriteFailed, "cannot delete the run",
            {{"run", folder.string()}, {"reason", error.message()}});
    }
    if (options.watch.json) {
        console.out << runs_document({run});
    } else {
        console.out << "deleted " << run.folder.string() << ", " << bytes_text(run.bytes) << '\n';
    }
    return kExitDone;
}

} // namespace

std::filesystem::path find_run(const std::string& text)
{
    const std::filesystem::path named = default_runs_folder() / text;
    const bool is_name = text.find('/') == std::string::npos;
    return is_name && !std::filesystem::exists(text) && std::filesystem::exists(named)
        ? named
        : std::filesystem::path(text);
}

Action add_runs(CLI::App& app)
{
    auto options = std::make_shared<Options>();
    auto chosen = std::make_shared<int (*)(const Options&, Console&)>(nullptr);
    app.require_subcommand(1);
    const auto add = [&](const char* name, const char* help,
                         int (*action)(const Options&, Console&)) {
        CLI::App* command = app.add_subcommand(name, help);
        command->preparse_callback([chosen, action](std::size_t) { *chosen = action; });
        return command;
    };
    CLI::App* listing = add("list", "all runs, newest first", list);
    listing->add_option("--runs", options->runs, "folder of the runs");
    add_json_option(*listing, options->watch.json);
    CLI::App* showing = add("show", "state, settings and results of one run", show);
    showing->add_option("RUN", options->run, "folder or name")->required();
    add_json_option(*showing, options->watch.json);
    CLI::App* following = add("follow", "progress of a run that another process works on", follow);
    following->add_option("RUN", options->run, "folder or name")->required();
    add_watch_options(*following, options->watch);
    CLI::App* removing = add("delete", "delete a run with everything in its folder", remove);
    removing->add_option("RUN", options->run, "folder or name")->required();
    removing->add_flag("--yes", options->yes, "do not ask");
    add_json_option(*removing, options->watch.json);
    return [options, chosen](Console& console) { return (*chosen)(*options, console); };
}

} // namespace bitsmith::cli
