// SPDX-License-Identifier: GPL-3.0-or-later
// Generic access to the scalar fields of a struct with visit_fields: what the option form and the
// command line text are made from. Lists and nested structs are left out; pages show them by hand.
#pragma once

#include <bitsmith/fields.h>

#include <QString>

#include <optional>
#include <variant>

namespace bitsmith::ui {

enum class FieldKind
{
    Bool,
    Integer,
    Real,
    Text,
    Choice
};

/// Empty for an optional field that is left to the program.
using FieldValue = std::variant<std::monostate, bool, int64_t, double, std::string>;

struct FieldDescription
{
    std::string key;
    FieldKind kind = FieldKind::Text;
    bool isOptional = false;
    Range range;
    std::vector<std::string> choices; ///< words, of a Choice
    std::string help;
};

/// Text of a value as JSON and the command line write it.
QString fieldValueText(const FieldValue& value);

namespace detail {

template <class T>
concept ScalarField = std::same_as<T, bool> || std::same_as<T, int64_t> || std::same_as<T,
    double> || std::same_as<T, std::string> || NamedEnum<T>;

template <class T>
constexpr FieldKind kindOf()
{
    if constexpr (std::same_as<T, bool>) {
        return FieldKind::Bool;
    } else if constexpr (std::same_as<T, int64_t>) {
        return FieldKind::Integer;
    } else if constexpr (std::same_as<T, double>) {
        return FieldKind::Real;
    } else if constexpr (NamedEnum<T>) {
        return FieldKind::Choice;
    } else {
        return FieldKind::Text;
    }
}

template <class T>
FieldValue toValue(const T& value)
{
    if constexpr (NamedEnum<T>) {
        return std::string(enum_name(value));
    } else {
        return value;
    }
}

template <class T>
T fromValue(const FieldValue& value)
{
    if constexpr (NamedEnum<T>) {
        return enum_from<T>(std::get<std::string>(value)).value();
    } else {
        return std::get<T>(value);
    }
}

struct Describer
{
    std::vector<FieldDescription> found;

    template <class T>
    void operator()(std::string_view key, const T&, Range range, std::string_view help)
    {
        if constexpr (ScalarField<T>) {
            add<T>(key, false, range, help);
        }
    }
    template <class T>
    void operator()(
        std::string_view key, const std::optional<T>&, Range range, std::string_view help)
    {
        if constexpr (ScalarField<T>) {
            add<T>(key, true, range, help);
        }
    }

private:
    template <class T>
    void add(std::string_view key, bool isOptional, Range range, std::string_view help)
    {
        FieldDescription field{
            std::string(key), kindOf<T>(), isOptional, range, {}, std::string(help)};
        if constexpr (NamedEnum<T>) {
            field.choices.assign(EnumNames<T>::names.begin(), EnumNames<T>::names.end());
        }
        found.push_back(std::move(field));
    }
};

struct Reader
{
    std::vector<FieldValue> found;

    template <class T>
    void operator()(std::string_view, const T& value, Range, std::string_view)
    {
        if constexpr (ScalarField<T>) {
            found.push_back(toValue(value));
        }
    }
    template <class T>
    void operator()(std::string_view, const std::optional<T>& value, Range, std::string_view)
    {
        if constexpr (ScalarField<T>) {
            found.push_back(value ? toValue(*value) : FieldValue());
        }
    }
};

struct Writer
{
    std::string_view key;
    const FieldValue& value;

    template <class T>
    void operator()(std::string_view name, T& field, Range, std::string_view)
    {
        if constexpr (ScalarField<T>) {
            if (name == key) {
                field = fromValue<T>(value);
            }
        }
    }
    template <class T>
    void operator()(std::string_view name, std::optional<T>& field, Range, std::string_view)
    {
        if constexpr (ScalarField<T>) {
            if (name == key) {
                field = std::holds_alternative<std::monostate>(value)
                    ? std::nullopt
                    : std::optional<T>(fromValue<T>(value));
            }
        }
    }
};

} // namespace detail

/// One description per scalar field, in declaration order.
template <class S>
std::vector<FieldDescription> describeFields(const S& object)
{
    detail::Describer visitor;
    visit_fields(visitor, object);
    return visitor.found;
}

/// Values in the order of describeFields.
template <class S>
std::vector<FieldValue> readFields(const S& object)
{
    detail::Reader visitor;
    visit_fields(visitor, object);
    return visitor.found;
}

/// Sets the field called `key`; a value of the wrong type throws std::bad_variant_access (the form
/// never makes one).
template <class S>
void writeField(S& object, std::string_view key, const FieldValue& value)
{
    detail::Writer visitor{key, value};
    visit_fields(visitor, object);
}

} // namespace bitsmith::ui
