// SPDX-License-Identifier: GPL-3.0-or-later
// One description per option. A struct S offers
//
//     template <class Visitor, class Self> void visit_fields(Visitor& v, Self& s)   // Self: S or
//     const S
//
// with one line per field, `v("iters", s.iters, range(0, 5000), "tuning steps per block")`. JSON
// reading and writing, validation, command line flags, --help, form rows and tooltips are visitors
// over it, so the field's name is the JSON key and the flag.
//
// Field types: bool, int64_t, double, std::string, an enum with EnumNames, std::optional of one of
// these, std::vector<std::string>, a struct with visit_fields, a std::vector of such structs.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace bitsmith {

/// Allowed values of a numeric field, both ends included. Default: no limits.
struct Range
{
    double min = -std::numeric_limits<double>::infinity();
    double max = std::numeric_limits<double>::infinity();
    std::string_view unit = {};
};

constexpr Range range(double min, double max, std::string_view unit = {})
{
    return {min, max, unit};
}
constexpr Range any_value()
{
    return {};
}

/// Name table of an enum: `template <> struct EnumNames<E> { static constexpr std::array
/// names{...}; };` Index = value of the enumerator; names are snake_case words as written to JSON.
template <class E>
struct EnumNames;

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires
{
    EnumNames<E>::names;
};

template <NamedEnum E>
constexpr std::string_view enum_name(E value)
{
    return EnumNames<E>::names[static_cast<std::size_t>(value)];
}

template <NamedEnum E>
constexpr std::optional<E> enum_from(std::string_view name)
{
    for (std::size_t i = 0; i < EnumNames<E>::names.size(); ++i) {
        if (EnumNames<E>::names[i] == name) {
            return static_cast<E>(i);
        }
    }
    return std::nullopt;
}

template <class T>
struct IsOptional : std::false_type
{ };
template <class T>
struct IsOptional<std::optional<T>> : std::true_type
{ };

namespace detail {
struct AnyVisitor
{
    template <class T>
    void operator()(std::string_view, T&, Range, std::string_view)
    { }
};
} // namespace detail

/// A struct that describes its fields.
template <class T>
concept HasFields = requires(detail::AnyVisitor v, T& t)
{
    visit_fields(v, t);
};

} // namespace bitsmith
