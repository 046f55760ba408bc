// SPDX-License-Identifier: GPL-3.0-or-later
// One field <-> plain text, for flags, --set and scheme field lists. The field's description gives
// type and range. JSON is in fields_json.h.
#pragma once

#include "base/text.h"

#include <bitsmith/error.h>
#include <bitsmith/fields.h>
#include <bitsmith/plan.h>

#include <charconv>
#include <cmath>
#include <utility>

namespace bitsmith {

template <class T>
struct IsVector : std::false_type
{ };
template <class T>
struct IsVector<std::vector<T>> : std::true_type
{ };

/// "1 to 65536 samples"; empty when there is no limit.
std::string range_text(const Range& range);
inline bool in_range(double value, const Range& range)
{
    return value >= range.min && value <= range.max; // false for NaN
}

template <NamedEnum E>
std::string enum_choices()
{
    std::string text;
    for (const std::string_view name : EnumNames<E>::names) {
        text += (text.empty() ? "" : ", ") + std::string(name);
    }
    return text;
}

/// Reads a value from text. Returns what is allowed when the text is not such a value, otherwise
/// nothing. Words are never half-read: "12x" is not a number.
std::string text_to_value(std::string_view text, bool& value, const Range& range);
std::string text_to_value(std::string_view text, int64_t& value, const Range& range);
std::string text_to_value(std::string_view text, double& value, const Range& range);
std::string text_to_value(std::string_view text, std::string& value, const Range& range);
std::string text_to_value(std::string_view text, std::vector<std::string>& value, const Range&);
/// "PATTERN=SCHEME", several separated by ";"; schemes may be field lists.
std::string text_to_value(std::string_view text, std::vector<Override>& value, const Range&);

template <NamedEnum E>
std::string text_to_value(std::string_view text, E& value, const Range&)
{
    const auto found = enum_from<E>(lower(text));
    if (found) {
        value = *found;
    }
    return found ? std::string() : enum_choices<E>();
}

/// "auto" and "" clear the value.
template <class T>
std::string text_to_value(std::string_view text, std::optional<T>& value, const Range& range)
{
    if (text.empty() || text == "auto") {
        value.reset();
        return {};
    }
    T inner{};
    std::string allowed = text_to_value(text, inner, range);
    if (allowed.empty()) {
        value = std::move(inner);
        return {};
    }
    return allowed + ", or auto";
}

std::string value_to_text(bool value);
std::string value_to_text(int64_t value);
/// Shortest text that reads back equal.
std::string value_to_text(double value);
std::string value_to_text(const std::string& value);
std::string value_to_text(const std::vector<std::string>& value);
std::string value_to_text(const std::vector<Override>& value);
template <NamedEnum E>
std::string value_to_text(E value)
{
    return std::string(enum_name(value));
}
template <class T>
std::string value_to_text(const std::optional<T>& value)
{
    return value ? value_to_text(*value) : "auto";
}

/// Visitor that sets the field named by a dotted path.
class TextSetter
{
public:
    TextSetter(std::string_view path, std::string_view text, std::string prefix = {})
        : path_(path)
        , text_(text)
        , prefix_(std::move(prefix))
    { }

    template <class T>
    void operator()(std::string_view key, T& value, Range range, std::string_view)
    {
        const std::string full = prefix_.empty() ? std::string(key) : concat(prefix_, '.', key);
        if constexpr (HasFields<T>) {
            TextSetter inner(path_, text_, full);
            visit_fields(inner, value);
            found_ = found_ || inner.found_;
            known_.insert(known_.end(), inner.known_.begin(), inner.known_.end());
        } else {
            known_.push_back(full);
            if (full == path_) {
                found_ = true;
                check(text_to_value(text_, value, range));
            }
        }
    }
    /// Throws InvalidSpec with the nearest path when there is no such field.
    void finish() const;

private:
    void check(const std::string& allowed) const;

    std::string path_;
    std::string text_;
    std::string prefix_;
    bool found_ = false;
    std::vector<std::string> known_;
};

/// Throws InvalidSpec with field, text found and values allowed.
template <class T>
void set_field_text(T& target, std::string_view path, std::string_view text)
{
    TextSetter setter(path, text);
    visit_fields(setter, target);
    setter.finish();
}

/// Visitor that lists every field as (path, text).
class TextLister
{
public:
    explicit TextLister(std::string prefix = {})
        : prefix_(std::move(prefix))
    { }
    template <class T>
    void operator()(std::string_view key, const T& value, Range, std::string_view)
    {
        const std::string full = prefix_.empty() ? std::string(key) : concat(prefix_, '.', key);
        if constexpr (HasFields<const T>) {
            TextLister inner(full);
            visit_fields(inner, value);
            fields.insert(fields.end(), inner.fields.begin(), inner.fields.end());
        } else {
            fields.emplace_back(full, value_to_text(value));
        }
    }
    std::vector<std::pair<std::string, std::string>> fields;

private:
    std::string prefix_;
};

/// Every field of `value` as path and text, in order of declaration.
template <class T>
std::vector<std::pair<std::string, std::string>> list_fields(const T& value)
{
    TextLister lister;
    visit_fields(lister, value);
    return std::move(lister.fields);
}

/// The fields of `value` whose text differs from that in `base`, with the text of `value`.
template <class T>
std::vector<std::pair<std::string, std::string>> changed_fields(const T& value, const T& base)
{
    const auto ours = list_fields(value), theirs = list_fields(base);
    std::vector<std::pair<std::string, std::string>> changed;
    for (std::size_t i = 0; i < ours.size(); ++i) {
        if (ours[i].second != theirs[i].second) {
            changed.push_back(ours[i]);
        }
    }
    return changed;
}

} // namespace bitsmith
