// SPDX-License-Identifier: GPL-3.0-or-later
// quantize, and demo: the same with the demonstration job as its settings.
#include "args.h"
#include "commands.h"
#include "result_table.h"
#include "watch.h"

#include <bitsmith/documents.h>
#include <bitsmith/job.h>
#include <bitsmith/spec_json.h>

#include <algorithm>

namespace bitsmith::cli {

namespace {

struct Options
{
    WatchOptions watch;
    bool print_spec = false;
    bool dry_run = false;
};

int ending_code(const Outcome& outcome)
{
    switch (outcome.state) {
    case JobState::Done:
        return outcome.report.deviations.empty() ? kExitDone : kExitDeviated;
    case JobState::Cancelled:
        return kExitCancelled;
    default:
        return exit_code_of(outcome.error_code);
    }
}

bool has_errors(const std::vector<Issue>& issues)
{
    return std::any_of(issues.begin(), issues.end(),
        [](const Issue& issue) { return issue.severity == Severity::Error; });
}

/// What is no warning does not come with the job's events.
void print_remarks(std::ostream& out, std::vector<Issue> issues)
{
    std::erase_if(issues, [](const Issue& issue) { return issue.severity != Severity::Info; });
    print_issues(out, issues);
}

/// Errors are shown before anything heavy starts; warnings come with the job's events.
int refuse(const std::vector<Issue>& issues, bool json, Console& console)
{
    print_issues(console.err, issues);
    if (json) {
        console.out << refusal_document(issues);
    }
    return kExitRefused;
}

int dry_run(const JobSpec& spec, const ModelInfo& model, const std::vector<Issue>& issues,
    bool json, Console& console)
{
    const Plan plan = build_plan(spec, model);
    const Estimate need = estimate(spec, model, plan);
    if (json) {
        console.out << plan_document(plan, need, issues);
    } else {
        print_issues(console.err, issues);
        print_plan(console.out, plan, need);
    }
    return kExitDone;
}

int print_outcome(const Outcome& outcome, int64_t original_bytes, bool json, std::ostream& results,
    Console& console)
{
    if (outcome.state == JobState::Done && json) {
        console.out << to_json(outcome.report);
    } else if (outcome.state == JobState::Done) {
        print_report(results, outcome.report, original_bytes);
    } else {
        const bool cancelled = outcome.state == JobState::Cancelled;
        const std::string code =
            cancelled ? "cancelled" : std::string(to_string(outcome.error_code));
        console.err << (cancelled ? "cancelled" : "error: " + outcome.message) << '\n';
        if (!outcome.report.run.empty()) {
            console.err << "finished blocks are kept; go on with: quantize --resume --run-dir '"
                        << outcome.report.run << "'\n";
        }
        if (json) {
            console.out << error_document(code, outcome.message);
        }
    }
    return ending_code(outcome);
}

int run_job(const JobSpec& spec, bool resume, const Options& options, Console& console)
{
    if (options.print_spec) {
        console.out << to_json(spec);
        return kExitDone;
    }
    std::vector<Issue> issues = check(spec, nullptr);
    if (has_errors(issues)) {
        return refuse(issues, options.watch.json, console);
    }
    const ModelInfo model = inspect_model(spec.model.path);
    issues = check(spec, &model);
    if (has_errors(issues)) {
        return refuse(issues, options.watch.json, console);
    }
    if (options.dry_run) {
        return dry_run(spec, model, issues, options.watch.json, console);
    }
    print_remarks(console.err, issues);
    Watch watch(options.watch, console);
    const Outcome outcome = bitsmith::run(spec, resume, watch.observer(), watch.control());
    watch.finish();
    return print_outcome(outcome, model.bytes, options.watch.json, watch.results(), console);
}

Action add_job(CLI::App& app, bool demo)
{
    auto options = std::make_shared<Options>();
    const auto flags = add_spec_flags(app);
    add_watch_options(app, options->watch);
    app.add_flag(both_spellings("print_spec"), options->print_spec, "print the job file and stop");
    app.add_flag(both_spellings("dry_run"), options->dry_run,
        "check everything and print plan, sizes and memory; nothing is computed");
    return [options, flags, demo](Console& console) {
        const JobSpec spec = build_spec(*flags, demo ? std::optional(demo_job()) : std::nullopt);
        return run_job(spec, flags->resume, *options, console);
    };
}

} // namespace

Action add_quantize(CLI::App& app)
{
    return add_job(app, false);
}

Action add_demo(CLI::App& app)
{
    return add_job(app, true);
}

} // namespace bitsmith::cli
