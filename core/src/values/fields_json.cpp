// SPDX-License-Identifier: GPL-3.0-or-later
#include "values/fields_json.h"

#include <algorithm>

namespace bitsmith {

namespace {

constexpr std::size_t kFoundLimit = 60;
/// Whole numbers beyond this are not exact as a double.
constexpr double kExactLimit = 9007199254740992.0;

std::optional<int64_t> whole_number(const Json& json)
{
    if (json.is_number_unsigned()) {
        const auto value = json.get<uint64_t>();
        return value <= static_cast<uint64_t>(INT64_MAX)
            ? std::optional(static_cast<int64_t>(value))
            : std::nullopt;
    }
    if (json.is_number_integer()) {
        return json.get<int64_t>();
    }
    if (json.is_number_float()) {
        const auto value = json.get<double>();
        if (std::abs(value) <= kExactLimit && std::trunc(value) == value) {
            return static_cast<int64_t>(value);
        }
    }
    return std::nullopt;
}

std::string with_limits(const char* kind, const Range& range)
{
    const std::string limits = range_text(range);
    return limits.empty() ? kind : concat(kind, ", ", limits);
}

} // namespace

std::string found_text(const Json& json)
{
    if (json.is_object() || json.is_array()) {
        return json.is_object() ? "an object" : "a list";
    }
    std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > kFoundLimit) {
        std::size_t end = kFoundLimit;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
            --end; // never inside a character
        }
        text = text.substr(0, end) + "...";
    }
    return text;
}

void FieldsReader::problem(const std::string& path, const Json& found, const std::string& allowed)
{
    problems_.push_back({path, "found " + found_text(found) + ", allowed: " + allowed});
}

void FieldsReader::read_scalar(const Json& json, bool& value, const Range&, const std::string& path)
{
    if (json.is_boolean()) {
        value = json.get<bool>();
    } else {
        problem(path, json, "true or false");
    }
}

void FieldsReader::read_scalar(
    const Json& json, int64_t& value, const Range& range, const std::string& path)
{
    const auto number = whole_number(json);
    if (number && in_range(static_cast<double>(*number), range)) {
        value = *number;
    } else {
        problem(path, json, with_limits("a whole number", range));
    }
}

void FieldsReader::read_scalar(
    const Json& json, double& value, const Range& range, const std::string& path)
{
    if (json.is_null() && strictness_ == Strictness::Lenient) {
        value = std::numeric_limits<double>::quiet_NaN();
    } else if (json.is_number() && in_range(json.get<double>(), range)) {
        value = json.get<double>();
    } else {
        problem(path, json, with_limits("a number", range));
    }
}

void FieldsReader::read_scalar(
    const Json& json, std::string& value, const Range&, const std::string& path)
{
    if (json.is_string()) {
        value = json.get<std::string>();
    } else {
        problem(path, json, "a text");
    }
}

void FieldsReader::finish(const std::vector<std::string>& also_known)
{
    if (strictness_ == Strictness::Lenient) {
        return;
    }
    known_.insert(known_.end(), also_known.begin(), also_known.end());
    for (const auto& item : in_.items()) {
        if (std::find(known_.begin(), known_.end(), item.key()) != known_.end()) {
            continue;
        }
        const std::string near = nearest(item.key(), known_);
        problems_.push_back({path_of(item.key()),
            near.empty() ? "unknown key, known: " + join(known_, ", ")
                         : "unknown key, did you mean " + near + "?"});
    }
}

void fail_on(const std::vector<FieldProblem>& problems, ErrorCode code, std::string_view origin)
{
    if (problems.empty()) {
        return;
    }
    Error::Context context = {{"file", std::string(origin)}};
    for (const FieldProblem& problem : problems) {
        context.emplace_back(problem.path.empty() ? "document" : problem.path, problem.text);
    }
    fail(code,
        problems.size() == 1 ? std::string("one value cannot be used")
                             : concat(problems.size(), " values cannot be used"),
        std::move(context));
}

} // namespace bitsmith
