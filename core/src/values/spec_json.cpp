// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/file_ops.h"
#include "values/fields_json.h"

#include <bitsmith/spec_json.h>

namespace bitsmith {

namespace {

constexpr const char* kVersionKey = "schema_version";
constexpr int kIndent = 2;

/// Text that may hold bytes of a foreign file is written with replacement characters rather than
/// not at all.
std::string dump(const Json& json, int indent)
{
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

template <class T>
std::string document(const T& value, int64_t version)
{
    Json out = Json::object();
    out[kVersionKey] = version;
    write_fields(out, value);
    return dump(out, kIndent);
}

/// Absent counts as the current version: people write job files by hand.
void check_version(const Json& json, int64_t current, std::string_view origin)
{
    const auto found = json.find(kVersionKey);
    if (found == json.end()) {
        return;
    }
    if (!found->is_number_integer() || found->get<double>() < 1
        || found->get<double>() > static_cast<double>(current)) {
        fail(ErrorCode::InvalidSpec, "the file has a version that this program cannot read",
            {{"file", std::string(origin)}, {"field", kVersionKey}, {"found", found_text(*found)},
                {"allowed", "1 to " + std::to_string(current)}},
            "A newer Bitsmith wrote it; use that one");
    }
}

/// A recipe that is only named brings its numbers; keys beside the name change single ones.
void start_from_named_recipe(const Json& json, JobSpec& spec, std::vector<FieldProblem>& problems)
{
    const auto recipe = json.find("recipe");
    if (recipe == json.end() || !recipe->is_object() || !recipe->contains("name")
        || !(*recipe)["name"].is_string()) {
        return;
    }
    const auto name = (*recipe)["name"].get<std::string>();
    if (name == "custom") {
        return;
    }
    try {
        spec.recipe = named_recipe(name);
    } catch (const Error& error) {
        problems.push_back({"recipe.name", error.what()});
    }
}

template <std::size_t I = 0>
std::optional<EventBody> make_body(std::string_view kind)
{
    if constexpr (I == std::variant_size_v<EventBody>) {
        return std::nullopt;
    } else if (kEventKinds[I] == kind) {
        return EventBody(std::in_place_index<I>);
    } else {
        return make_body<I + 1>(kind);
    }
}

[[noreturn]] void not_an_event(std::string_view line, const std::string& reason)
{
    fail(ErrorCode::FileCorrupt, "not an event",
        {{"line", std::string(line.substr(0, 200))}, {"reason", reason}});
}

template <class T>
T required(const Json& json, const char* key, std::string_view line)
{
    const auto found = json.find(key);
    const bool fits = found != json.end()
        && (std::is_same_v<T, std::string> ? found->is_string() : found->is_number_integer());
    if (!fits) {
        not_an_event(line, std::string("no usable ") + key);
    }
    return found->template get<T>();
}

} // namespace

std::string to_json(const JobSpec& spec)
{
    return document(spec, kJobSchemaVersion) + "\n";
}

JobSpec job_spec_from_json(std::string_view text, std::string_view origin, const JobSpec& base)
{
    const Json json = parse_json(text, origin);
    JobSpec spec = base;
    std::vector<FieldProblem> problems;
    if (json.is_object()) {
        check_version(json, kJobSchemaVersion, origin);
        start_from_named_recipe(json, spec, problems);
    }
    for (FieldProblem& problem : read_fields(json, spec, Strictness::Strict, {kVersionKey})) {
        problems.push_back(std::move(problem));
    }
    fail_on(problems, ErrorCode::InvalidSpec, origin);
    return spec;
}

JobSpec read_job_spec(const std::filesystem::path& file, const JobSpec& base)
{
    return job_spec_from_json(read_text_file(file), file.string(), base);
}

std::string to_json_line(const Event& event)
{
    Json out = Json::object();
    out["kind"] = std::string(event.kind());
    out["sequence"] = event.sequence;
    out["time_ms"] = event.time_ms;
    if (event.get_if<JobStarted>() != nullptr) {
        out[kVersionKey] = kEventSchemaVersion;
    }
    std::visit([&out](const auto& body) { write_fields(out, body); }, event.body);
    return dump(out, -1);
}

std::optional<Event> event_from_json(std::string_view line)
{
    const Json json = parse_json(line, "event");
    if (!json.is_object()) {
        not_an_event(line, "not an object");
    }
    auto body = make_body(required<std::string>(json, "kind", line));
    if (!body) {
        return std::nullopt;
    }
    Event event;
    event.sequence = required<int64_t>(json, "sequence", line);
    event.time_ms = required<int64_t>(json, "time_ms", line);
    event.body = std::move(*body);
    const auto problems =
        std::visit([&json](auto& fields) { return read_fields(json, fields, Strictness::Lenient); },
            event.body);
    if (!problems.empty()) {
        not_an_event(line, problems.front().path + ": " + problems.front().text);
    }
    return event;
}

std::string to_json(const Report& report)
{
    return document(report, kReportSchemaVersion) + "\n";
}

Report report_from_json(std::string_view text, std::string_view origin)
{
    const Json json = parse_json(text, origin);
    if (json.is_object()) {
        check_version(json, kReportSchemaVersion, origin);
    }
    Report report;
    fail_on(read_fields(json, report, Strictness::Lenient), ErrorCode::FileCorrupt, origin);
    return report;
}

std::string to_json(const ModelInfo& info)
{
    Json out = fields_to_json(info);
    for (std::size_t i = 0; i < info.layers.size(); ++i) {
        out["layers"][i]["shape"] = {info.layers[i].rows, info.layers[i].columns};
    }
    return dump(out, kIndent) + "\n";
}

std::string to_json(const EvalReport& report)
{
    return dump(fields_to_json(report), kIndent) + "\n";
}

} // namespace bitsmith
