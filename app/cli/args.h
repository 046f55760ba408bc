// SPDX-License-Identifier: GPL-3.0-or-later
// Flags of a job, generated from the fields that JobSpec describes, in both spellings
// (--group-size, --group_size).
#pragma once

#include <bitsmith/error.h>
#include <bitsmith/job_spec.h>

#include <CLI/CLI.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitsmith::cli {

/// A flag or a job file says something that cannot be understood: exit code 2, not 4.
class UsageError : public Error
{
public:
    explicit UsageError(const Error& error)
        : Error(error)
    { }
};

/// What the user gave on the command line for a job.
struct SpecFlags
{
    std::string model; ///< positional
    std::string spec_file;
    std::string layer_config;
    std::string algorithm;
    bool reference_mode = false;
    bool alg_ext = false;
    bool resume = false;
    std::vector<std::pair<std::string, std::string>> fields; ///< path and text, in given order
    std::vector<std::string> overrides; ///< PATTERN=SCHEME
    std::vector<std::string> sets; ///< section.key=value
};

/// Adds the model, one flag per field, and the flags that work on the whole spec.
std::shared_ptr<SpecFlags> add_spec_flags(CLI::App& command);

/// Adds one flag per field of ExportDetails, in the group "exports"; build_spec with the spec of a
/// run applies them.
std::shared_ptr<SpecFlags> add_detail_flags(CLI::App& command);

/// Named recipe < spec file < flags. With `base` (the demo job, or the spec of a run that goes on)
/// everything else changes that. Throws UsageError (InvalidSpec), FileNotFound, FileCorrupt.
JobSpec build_spec(const SpecFlags& flags, const std::optional<JobSpec>& base = {});

/// "--group-size,--group_size" for the key of a field.
std::string both_spellings(const std::string& key);

/// Adds an option under both spellings of `key`.
template <class T>
CLI::Option* add_option(CLI::App& app, const std::string& key, T& value, const std::string& help)
{
    return app.add_option(both_spellings(key), value, help);
}

} // namespace bitsmith::cli
