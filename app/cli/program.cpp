// SPDX-License-Identifier: GPL-3.0-or-later
#include "program.h"

#include "args.h"
#include "commands/commands.h"

#include <bitsmith/control.h>
#include <bitsmith/documents.h>
#include <bitsmith/version.h>

#include <algorithm>
#include <array>

namespace bitsmith::cli {

namespace {

struct Command
{
    const char* name;
    const char* help;
    Action (*add)(CLI::App&);
};
constexpr std::array kCommands = {
    Command{"inspect", "what a model is, and what would be quantized", add_inspect},
    Command{"quantize", "make a smaller model: tune, export, measure", add_quantize},
    Command{"demo", "quantize the demonstration model", add_demo},
    Command{"export", "write a finished run in another format, or list those that fit", add_export},
    Command{"convert", "write a model in another format, without tuning", add_convert},
    Command{"imatrix", "what the inputs of each layer carry, as a file of llama.cpp", add_imatrix},
    Command{"eval", "perplexity, and distance to another model", add_eval},
    Command{"generate", "continue a text", add_generate},
    Command{"trace", "hidden states of every block and the logits, for comparisons", add_trace},
    Command{"verify", "open an export again and check it", add_verify},
    Command{"runs", "list, show, follow and delete runs", add_runs},
    Command{"list", "schemes, formats, recipes, families, tasks, datasets, devices", add_list},
};

bool wants_json(const std::vector<std::string>& arguments)
{
    return std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
}

void print_error(std::ostream& err, const Error& error)
{
    err << "error: " << error.message() << '\n';
    for (const auto& [key, value] : error.context()) {
        err << "  " << key << ": " << value << '\n';
    }
    if (!error.hint().empty()) {
        err << "  " << error.hint() << '\n';
    }
}

int on_usage_error(const std::string& message, bool json, Console& console)
{
    console.err << "error: " << message << "\n  Run with --help for the options.\n";
    if (json) {
        console.out << error_document("usage", message);
    }
    return kExitUsage;
}

/// Help and version requests come as exceptions too, with code 0.
int on_parse_result(const CLI::App& app, const CLI::ParseError& error, bool json, Console& console)
{
    if (error.get_exit_code() == 0) {
        app.exit(error, console.out, console.err);
        return kExitDone;
    }
    if (error.get_name() == "ExtrasError") {
        std::string extras; // its own text has them in reverse
        for (const std::string& extra : app.remaining(true)) {
            extras += (extras.empty() ? "" : " ") + extra;
        }
        return on_usage_error("not expected: " + extras, json, console);
    }
    return on_usage_error(error.what(), json, console);
}

/// CLI11 only says that a command is missing. Empty: the first argument is a command or an option.
std::string unknown_command(const std::vector<std::string>& arguments)
{
    if (arguments.empty() || arguments.front().rfind('-', 0) == 0) {
        return {};
    }
    std::string names;
    for (const Command& command : kCommands) {
        if (arguments.front() == command.name) {
            return {};
        }
        names += (names.empty() ? "" : ", ") + std::string(command.name);
    }
    return "there is no command '" + arguments.front() + "'; commands: " + names;
}

template <class Work>
int guarded(Work&& work, bool json, Console& console)
{
    try {
        return work();
    } catch (const Error& error) {
        print_error(console.err, error);
        if (json) {
            console.out << error_document(error);
        }
        const bool usage = dynamic_cast<const UsageError*>(&error) != nullptr;
        return usage ? static_cast<int>(kExitUsage) : exit_code_of(error.code());
    } catch (const Cancelled&) {
        console.err << "cancelled\n";
        if (json) {
            console.out << error_document("cancelled", "cancelled");
        }
        return kExitCancelled;
    } catch (const std::exception& error) {
        console.err << "error: " << error.what() << '\n';
        if (json) {
            console.out << error_document("internal", error.what());
        }
        return kExitFailed;
    }
}

} // namespace

int exit_code_of(ErrorCode code)
{
    const bool refused = code == ErrorCode::InvalidSpec || code == ErrorCode::UnsupportedScheme
        || code == ErrorCode::UnsupportedFormat;
    return refused ? kExitRefused : kExitFailed;
}

int run_program(const std::vector<std::string>& arguments, Console console)
{
    CLI::App app("Bitsmith quantizes large language models.", "bitsmith-cli");
    app.set_version_flag("--version", BITSMITH_VERSION);
    app.require_subcommand(1);
    app.option_defaults()->always_capture_default(false);
    Action action;
    std::vector<std::pair<CLI::App*, Action>> actions;
    for (const Command& command : kCommands) {
        CLI::App* sub = app.add_subcommand(command.name, command.help);
        actions.emplace_back(sub, command.add(*sub));
    }
    const bool json = wants_json(arguments);
    if (const std::string unknown = unknown_command(arguments); !unknown.empty()) {
        return on_usage_error(unknown, json, console);
    }
    try {
        // CLI11 takes the last argument first.
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {
        return on_parse_result(app, error, json, console);
    }
    for (const auto& [sub, candidate] : actions) {
        if (sub->parsed()) {
            return guarded([&] { return candidate(console); }, json, console);
        }
    }
    return kExitUsage;
}

} // namespace bitsmith::cli
