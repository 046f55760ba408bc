// SPDX-License-Identifier: GPL-3.0-or-later
#include "values/fields_text.h"

#include <array>

namespace bitsmith {

namespace {

/// Shortest text that reads back equal; whole numbers of usual size without an exponent.
std::string number_text(double value)
{
    constexpr double kPlain = 1e15;
    const bool plain = std::trunc(value) == value && std::abs(value) < kPlain;
    std::array<char, 40> buffer{};
    char* const end = buffer.data() + buffer.size();
    const auto result = plain ? std::to_chars(buffer.data(), end, value, std::chars_format::fixed)
                              : std::to_chars(buffer.data(), end, value);
    return std::string(buffer.data(), result.ptr);
}

template <class T>
bool parse_number(std::string_view text, T& value)
{
    if (!text.empty() && text.front() == '+') {
        text.remove_prefix(1);
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

std::string allowed_numbers(std::string_view kind, const Range& range)
{
    const std::string limits = range_text(range);
    return limits.empty() ? std::string(kind) : concat(kind, ", ", limits);
}

} // namespace

std::string range_text(const Range& range)
{
    const bool low = std::isfinite(range.min), high = std::isfinite(range.max);
    std::string text;
    if (low && high) {
        text = number_text(range.min) + " to " + number_text(range.max);
    } else if (low) {
        text = number_text(range.min) + " or more";
    } else if (high) {
        text = number_text(range.max) + " or less";
    }
    return text.empty() || range.unit.empty() ? text : concat(text, ' ', range.unit);
}

std::string text_to_value(std::string_view text, bool& value, const Range&)
{
    const std::string word = lower(text);
    for (const auto& [name, meaning] : {std::pair("true", true), std::pair("false", false),
             std::pair("yes", true), std::pair("no", false), std::pair("on", true),
             std::pair("off", false), std::pair("1", true), std::pair("0", false)}) {
        if (word == name) {
            value = meaning;
            return {};
        }
    }
    return "true or false";
}

std::string text_to_value(std::string_view text, int64_t& value, const Range& range)
{
    int64_t number = 0;
    if (!parse_number(text, number) || !in_range(static_cast<double>(number), range)) {
        return allowed_numbers("a whole number", range);
    }
    value = number;
    return {};
}

std::string text_to_value(std::string_view text, double& value, const Range& range)
{
    double number = 0;
    if (!parse_number(text, number) || !std::isfinite(number) || !in_range(number, range)) {
        return allowed_numbers("a number", range);
    }
    value = number;
    return {};
}

std::string text_to_value(std::string_view text, std::string& value, const Range&)
{
    value = text;
    return {};
}

std::string text_to_value(std::string_view text, std::vector<std::string>& value, const Range&)
{
    value = split(text, ',');
    return {};
}

std::string text_to_value(std::string_view text, std::vector<Override>& value, const Range&)
{
    std::vector<Override> rules;
    for (const std::string& rule : split(text, ';')) {
        const std::size_t equals = rule.find('=');
        if (equals == 0 || equals == std::string::npos || equals + 1 == rule.size()) {
            return "PATTERN=SCHEME, several separated by ';'";
        }
        rules.push_back({rule.substr(0, equals), rule.substr(equals + 1)});
    }
    value = std::move(rules);
    return {};
}

std::string value_to_text(bool value)
{
    return value ? "true" : "false";
}

std::string value_to_text(int64_t value)
{
    return std::to_string(value);
}

std::string value_to_text(double value)
{
    return number_text(value);
}

std::string value_to_text(const std::string& value)
{
    return value;
}

std::string value_to_text(const std::vector<std::string>& value)
{
    return join(value, ",");
}

std::string value_to_text(const std::vector<Override>& value)
{
    std::vector<std::string> rules;
    for (const Override& rule : value) {
        rules.push_back(rule.pattern + "=" + rule.scheme);
    }
    return join(rules, ";");
}

void TextSetter::check(const std::string& allowed) const
{
    if (!allowed.empty()) {
        fail(ErrorCode::InvalidSpec, "value not allowed",
            {{"field", path_}, {"found", text_}, {"allowed", allowed}});
    }
}

void TextSetter::finish() const
{
    if (found_) {
        return;
    }
    const std::string near = nearest(path_, known_);
    fail(ErrorCode::InvalidSpec, "unknown field", {{"field", path_}},
        near.empty() ? "Known fields: " + join(known_, ", ") : "Did you mean " + near + "?");
}

} // namespace bitsmith
