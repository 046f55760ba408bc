// SPDX-License-Identifier: GPL-3.0-or-later
// JSON text of the front's values. No JSON type appears here; the library stays inside the core.
#pragma once

#include <bitsmith/event.h>
#include <bitsmith/job_spec.h>
#include <bitsmith/model_info.h>
#include <bitsmith/report.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace bitsmith {

/// A job file: schema_version first, every field, two-space indent.
std::string to_json(const JobSpec& spec);
/// Reads a job file. All problems are collected into one InvalidSpec: unknown keys with the nearest
/// known one, wrong types, values out of range. `origin` names the file in messages. Keys that are
/// absent keep the value of `base`; a named recipe brings its numbers, keys beside the name change
/// single ones.
JobSpec job_spec_from_json(
    std::string_view text, std::string_view origin, const JobSpec& base = {});
JobSpec read_job_spec(const std::filesystem::path& file, const JobSpec& base = {});

/// One line without a newline.
std::string to_json_line(const Event& event);
/// Empty for a kind that this version does not know; throws FileCorrupt for text that is not an
/// event.
std::optional<Event> event_from_json(std::string_view line);

std::string to_json(const Report& report);
Report report_from_json(std::string_view text, std::string_view origin);
std::string to_json(const ModelInfo& info);
std::string to_json(const EvalReport& report);

/// Rules of the reference's layer_config file: an object of layer name or pattern -> scheme name, or
/// -> object of scheme fields whose absent ones are `section`'s. Throws InvalidSpec, FileNotFound.
std::vector<Override> read_layer_config(
    const std::filesystem::path& file, const SchemeSection& section);

/// Every field of a job as (path, text), in order of declaration.
std::vector<std::pair<std::string, std::string>> list_fields_of(const JobSpec& spec);

/// Sets one field by its path, for example ("recipe.iters", "500"). Throws InvalidSpec with the
/// allowed values. "recipe.name" brings the recipe's numbers; overrides are "PATTERN=SCHEME;...".
void set_field(JobSpec& spec, std::string_view path, std::string_view value);

} // namespace bitsmith
