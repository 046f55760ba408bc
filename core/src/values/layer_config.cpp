// SPDX-License-Identifier: GPL-3.0-or-later
// The reference's layer_config file: layer name or pattern -> scheme. Source: algorithm.md 1.3.
#include "base/file_ops.h"
#include "values/fields_json.h"

#include <bitsmith/check.h>
#include <bitsmith/spec_json.h>

namespace bitsmith {

namespace {

constexpr const char* kBaseKey = "scheme";

/// Regular expressions of the usual kind (".*v_proj", "a\.b") become globs; others are refused
/// rather than read as something else.
std::string pattern_from_key(const std::string& key, std::string_view origin)
{
    std::string pattern;
    for (std::size_t i = 0; i < key.size(); ++i) {
        if (key.compare(i, 2, ".*") == 0) {
            pattern += '*';
            ++i;
        } else if (key.compare(i, 2, "\\.") == 0) {
            pattern += '.';
            ++i;
        } else if (std::string_view("^$+()[]{}|\\").find(key[i]) != std::string_view::npos) {
            fail(ErrorCode::InvalidSpec, "this regular expression cannot be used as a pattern",
                {{"file", std::string(origin)}, {"key", key}},
                "Use a layer name, a part of it, or a pattern with * and ?");
        } else {
            pattern += key[i];
        }
    }
    return pattern;
}

Scheme scheme_from_object(
    const Json& value, const Scheme& defaults, const std::string& key, std::string_view origin)
{
    Scheme scheme = defaults;
    Json fields = Json::object();
    for (const auto& item : value.items()) {
        if (item.key() == kBaseKey && item.value().is_string()) {
            scheme = parse_scheme(item.value().get<std::string>());
        } else if (!item.value().is_null()) { // null: as by default
            fields[item.key()] = item.value();
        }
    }
    auto problems = read_fields(fields, scheme, Strictness::Strict);
    for (FieldProblem& problem : problems) {
        problem.path.insert(0, key + ".");
    }
    fail_on(problems, ErrorCode::InvalidSpec, origin);
    if (!scheme.is_quantized()) {
        return keep_scheme();
    }
    return scheme;
}

} // namespace

std::vector<Override> read_layer_config(
    const std::filesystem::path& file, const SchemeSection& section)
{
    const std::string origin = file.string();
    const Json json = read_json_file(file);
    if (!json.is_object()) {
        fail(ErrorCode::InvalidSpec, "a layer configuration is an object of name and scheme",
            {{"file", origin}, {"found", found_text(json)}});
    }
    const Scheme defaults = resolve_scheme(section);
    std::vector<Override> rules;
    for (const auto& item : json.items()) {
        const std::string pattern = pattern_from_key(item.key(), origin);
        if (item.value().is_string()) {
            rules.push_back({pattern, scheme_name(parse_scheme(item.value().get<std::string>()))});
        } else if (item.value().is_object()) {
            rules.push_back({pattern,
                scheme_name(scheme_from_object(item.value(), defaults, item.key(), origin))});
        } else {
            fail(ErrorCode::InvalidSpec, "not a scheme",
                {{"file", origin}, {"key", item.key()}, {"found", found_text(item.value())},
                    {"allowed", "a scheme name, or an object of scheme fields"}});
        }
    }
    return rules;
}

} // namespace bitsmith
