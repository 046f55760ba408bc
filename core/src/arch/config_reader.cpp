// SPDX-License-Identifier: GPL-3.0-or-later
#include "arch/config_reader.h"

#include <bitsmith/error.h>

#include <cmath>

namespace bitsmith::arch {

namespace {

constexpr int64_t kMaxCount = int64_t{1} << 30; // products of two sizes stay far from overflow
constexpr std::size_t kMaxShown = 80;

} // namespace

ConfigReader::ConfigReader(const Json& object, std::string path)
    : object_(object)
    , path_(std::move(path))
{
    if (!object.is_object()) {
        fail(ErrorCode::InvalidSpec, "config.json does not hold an object where one is expected",
            {{"file", "config.json"}, {"field", path_.empty() ? "(top level)" : path_},
                {"found", object.type_name()}, {"allowed", "an object"}});
    }
}

const Json* ConfigReader::find(std::string_view field) const
{
    const auto at = object_.find(std::string(field));
    return at == object_.end() || at->is_null() ? nullptr : &*at;
}

bool ConfigReader::has(std::string_view field) const
{
    return object_.contains(std::string(field));
}

bool ConfigReader::is_set(std::string_view field) const
{
    return find(field) != nullptr;
}

std::string ConfigReader::shown(std::string_view field) const
{
    const auto at = object_.find(std::string(field));
    if (at == object_.end()) {
        return "nothing";
    }
    if (at->is_structured()) {
        return at->is_array() ? "a list" : "an object";
    }
    std::string text = at->dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > kMaxShown) {
        text.resize(kMaxShown);
        text += "...";
    }
    return text;
}

void ConfigReader::reject(std::string_view field, std::string_view allowed) const
{
    fail(ErrorCode::InvalidSpec, "a field of config.json is missing or has an impossible value",
        {{"file", "config.json"}, {"field", path_ + std::string(field)}, {"found", shown(field)},
            {"allowed", std::string(allowed)}},
        "compare config.json with the one published with the model");
}

void ConfigReader::unsupported(std::string_view field, std::string_view allowed) const
{
    fail(ErrorCode::UnsupportedModel,
        "config.json asks for a variant that is not supported; guessing would give wrong results",
        {{"file", "config.json"}, {"field", path_ + std::string(field)}, {"found", shown(field)},
            {"allowed", std::string(allowed)}});
}

int64_t ConfigReader::integer(const Json& value, std::string_view field, int64_t lowest) const
{
    const std::string allowed =
        "a whole number from " + std::to_string(lowest) + " to " + std::to_string(kMaxCount);
    // Unsigned first: read as signed, 2^63 and above would wrap.
    const bool fits = !value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{kMaxCount};
    if (value.is_number_integer() && fits) {
        const auto number = value.get<int64_t>();
        if (number >= lowest && number <= kMaxCount) {
            return number;
        }
    }
    reject(field, allowed);
}

double ConfigReader::finite(const Json& value, std::string_view field) const
{
    if (!value.is_number()) {
        reject(field, "a number");
    }
    const auto number = value.get<double>();
    if (!std::isfinite(number)) {
        reject(field, "a finite number");
    }
    return number;
}

int64_t ConfigReader::count(std::string_view field) const
{
    const Json* value = find(field);
    if (!value) {
        reject(field, "a whole number from 1 to " + std::to_string(kMaxCount));
    }
    return integer(*value, field, 1);
}

int64_t ConfigReader::count_or(std::string_view field, int64_t otherwise) const
{
    return optional_count(field).value_or(otherwise);
}

std::optional<int64_t> ConfigReader::optional_count(std::string_view field) const
{
    const Json* value = find(field);
    return value ? std::optional(integer(*value, field, 1)) : std::nullopt;
}

int64_t ConfigReader::index_or(std::string_view field, int64_t otherwise) const
{
    const Json* value = find(field);
    return value ? integer(*value, field, 0) : otherwise;
}

double ConfigReader::number_or(std::string_view field, double otherwise) const
{
    return optional_number(field).value_or(otherwise);
}

std::optional<double> ConfigReader::optional_number(std::string_view field) const
{
    const Json* value = find(field);
    if (!value) {
        return std::nullopt;
    }
    const double number = finite(*value, field);
    if (number <= 0) {
        reject(field, "a number above zero");
    }
    return number;
}

bool ConfigReader::flag_or(std::string_view field, bool otherwise) const
{
    const Json* value = find(field);
    if (value && !value->is_boolean()) {
        reject(field, "true or false");
    }
    return value ? value->get<bool>() : otherwise;
}

std::string ConfigReader::word(std::string_view field) const
{
    const Json* value = find(field);
    if (value && !value->is_string()) {
        reject(field, "a text");
    }
    return value ? value->get<std::string>() : std::string();
}

std::vector<std::string> ConfigReader::words(std::string_view field) const
{
    std::vector<std::string> out;
    const Json* value = find(field);
    if (!value) {
        return out;
    }
    const auto is_text = [](const Json& item) { return item.is_string(); };
    if (!value->is_array() || !std::all_of(value->begin(), value->end(), is_text)) {
        reject(field, "a list of texts");
    }
    for (const Json& item : *value) {
        out.push_back(item.get<std::string>());
    }
    return out;
}

std::vector<double> ConfigReader::numbers(std::string_view field) const
{
    std::vector<double> out;
    const Json* value = find(field);
    if (!value) {
        return out;
    }
    if (!value->is_array()) {
        reject(field, "a list of numbers");
    }
    for (const Json& item : *value) {
        out.push_back(finite(item, field));
    }
    return out;
}

std::vector<int64_t> ConfigReader::indices(std::string_view field) const
{
    std::vector<int64_t> out;
    const Json* value = find(field);
    if (!value) {
        return out;
    }
    if (!value->is_array()) {
        reject(field, "a list of whole numbers");
    }
    for (const Json& item : *value) {
        out.push_back(integer(item, field, 0));
    }
    return out;
}

void ConfigReader::require_flag(std::string_view field, bool otherwise, bool allowed) const
{
    if (flag_or(field, otherwise) != allowed) {
        unsupported(field, allowed ? "true" : "false");
    }
}

} // namespace bitsmith::arch
