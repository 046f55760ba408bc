// SPDX-License-Identifier: GPL-3.0-or-later
// JSON of every struct with visit_fields: one writer and one reader for all of them.
// Reading collects every problem instead of stopping at the first.
#pragma once

#include "base/json_io.h"
#include "values/fields_text.h"

#include <limits>

namespace bitsmith {

/// One thing wrong in a JSON document.
struct FieldProblem
{
    std::string path; ///< "recipe.iters"
    std::string text; ///< found and allowed, for people
};

/// What a reader does with keys it does not know, and with null where a number is expected.
enum class Strictness
{
    Strict, ///< both are problems: files that people write
    Lenient ///< skipped, not a number: records of this or a later version
};

template <class T>
Json fields_to_json(const T& value);

template <class T>
Json value_to_json(const T& value)
{
    if constexpr (IsOptional<T>::value) {
        return value ? value_to_json(*value) : Json(nullptr);
    } else if constexpr (NamedEnum<T>) {
        return Json(std::string(enum_name(value)));
    } else if constexpr (IsVector<T>::value) {
        Json list = Json::array();
        for (const auto& item : value) {
            list.push_back(value_to_json(item));
        }
        return list;
    } else if constexpr (HasFields<const T>) {
        return fields_to_json(value);
    } else if constexpr (std::is_same_v<T, double>) {
        return std::isfinite(value) ? Json(value) : Json(nullptr); // JSON has no word for them
    } else {
        return Json(value);
    }
}

/// Visitor that writes every field, in order of declaration.
class FieldsWriter
{
public:
    explicit FieldsWriter(Json& out)
        : out_(out)
    { }
    template <class T>
    void operator()(std::string_view key, const T& value, Range, std::string_view)
    {
        out_[std::string(key)] = value_to_json(value);
    }

private:
    Json& out_;
};

template <class T>
void write_fields(Json& out, const T& value)
{
    FieldsWriter writer(out);
    visit_fields(writer, value);
}

template <class T>
Json fields_to_json(const T& value)
{
    Json out = Json::object();
    write_fields(out, value);
    return out;
}

/// Short text of a JSON value for messages, cut at 60 characters.
std::string found_text(const Json& json);

/// Visitor that reads the fields present in an object; absent ones keep their value.
class FieldsReader
{
public:
    FieldsReader(const Json& in, std::string path, Strictness strictness,
        std::vector<FieldProblem>& problems)
        : in_(in)
        , path_(std::move(path))
        , strictness_(strictness)
        , problems_(problems)
    { }

    template <class T>
    void operator()(std::string_view key, T& value, Range range, std::string_view)
    {
        known_.emplace_back(key);
        const auto found = in_.find(std::string(key));
        if (found != in_.end()) {
            read(*found, value, range, path_of(key));
        }
    }
    /// Reports unknown keys with the nearest known one. `also_known` are keys read elsewhere.
    void finish(const std::vector<std::string>& also_known = {});

private:
    template <class T>
    void read(const Json& json, T& value, const Range& range, const std::string& path)
    {
        if constexpr (IsOptional<T>::value) {
            read_optional(json, value, range, path);
        } else if constexpr (NamedEnum<T>) {
            read_enum(json, value, path);
        } else if constexpr (IsVector<T>::value) {
            read_vector(json, value, range, path);
        } else if constexpr (HasFields<T>) {
            read_struct(json, value, path);
        } else {
            read_scalar(json, value, range, path);
        }
    }
    template <class T>
    void read_optional(
        const Json& json, std::optional<T>& value, const Range& range, const std::string& path)
    {
        if (json.is_null()) {
            value.reset();
            return;
        }
        T inner{};
        const std::size_t before = problems_.size();
        read(json, inner, range, path);
        if (problems_.size() == before) {
            value = std::move(inner);
        }
    }
    template <class E>
    void read_enum(const Json& json, E& value, const std::string& path)
    {
        const auto found =
            json.is_string() ? enum_from<E>(json.get_ref<const std::string&>()) : std::nullopt;
        if (found) {
            value = *found;
        } else {
            problem(path, json, enum_choices<E>());
        }
    }
    template <class T>
    void read_vector(
        const Json& json, std::vector<T>& value, const Range& range, const std::string& path)
    {
        if (!json.is_array()) {
            problem(path, json, "a list");
            return;
        }
        std::vector<T> items(json.size());
        for (std::size_t i = 0; i < items.size(); ++i) {
            read(json[i], items[i], range, concat(path, '[', i, ']'));
        }
        value = std::move(items);
    }
    template <class T>
    void read_struct(const Json& json, T& value, const std::string& path)
    {
        if (!json.is_object()) {
            problem(path, json, "an object");
            return;
        }
        FieldsReader inner(json, path, strictness_, problems_);
        visit_fields(inner, value);
        inner.finish();
    }
    void read_scalar(const Json& json, bool& value, const Range&, const std::string& path);
    void read_scalar(const Json& json, int64_t& value, const Range&, const std::string& path);
    void read_scalar(const Json& json, double& value, const Range&, const std::string& path);
    void read_scalar(const Json& json, std::string& value, const Range&, const std::string& path);

    std::string path_of(std::string_view key) const
    {
        return path_.empty() ? std::string(key) : concat(path_, '.', key);
    }
    void problem(const std::string& path, const Json& found, const std::string& allowed);

    const Json& in_;
    std::string path_;
    Strictness strictness_;
    std::vector<FieldProblem>& problems_;
    std::vector<std::string> known_;
};

/// Reads `in` (an object) into `value`; `also_known` are further keys of the top level.
template <class T>
std::vector<FieldProblem> read_fields(const Json& in, T& value, Strictness strictness,
    const std::vector<std::string>& also_known = {})
{
    std::vector<FieldProblem> problems;
    if (!in.is_object()) {
        problems.push_back({"", "found " + found_text(in) + ", allowed: an object"});
        return problems;
    }
    FieldsReader reader(in, "", strictness, problems);
    visit_fields(reader, value);
    reader.finish(also_known);
    return problems;
}

/// Throws `code` with all problems in the context; does nothing when there are none.
void fail_on(const std::vector<FieldProblem>& problems, ErrorCode code, std::string_view origin);

} // namespace bitsmith
