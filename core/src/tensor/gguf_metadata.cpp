// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/gguf_metadata.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

namespace bitsmith::tensor {
namespace {

template <class T>
T load(std::span<const std::byte> bytes)
{
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

double shortest_double(float value)
{
    std::array<char, 64> text;
    const auto written = std::to_chars(text.data(), text.data() + text.size(), value);
    double result = value;
    const auto read = std::from_chars(text.data(), written.ptr, result);
    return read.ec == std::errc{} ? result : static_cast<double>(value);
}

std::optional<int64_t> as_integer(const GgufValue& value)
{
    if (const auto* number = std::get_if<int64_t>(&value)) {
        return *number;
    }
    const auto* number = std::get_if<uint64_t>(&value);
    if (number != nullptr
        && *number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return static_cast<int64_t>(*number);
    }
    return std::nullopt;
}

std::optional<double> as_number(const GgufValue& value)
{
    if (const auto* number = std::get_if<double>(&value)) {
        return *number;
    }
    const std::optional<int64_t> integer = as_integer(value);
    return integer ? std::optional<double>(static_cast<double>(*integer)) : std::nullopt;
}

GgufValue element(const GgufArray& array, int64_t index)
{
    const auto bytes = static_cast<std::size_t>(gguf_value_bytes(array.element));
    return decode_gguf_value(
        array.element, array.bytes.subspan(static_cast<std::size_t>(index) * bytes, bytes));
}

} // namespace

int64_t gguf_value_bytes(GgufValueType type)
{
    switch (type) {
    case GgufValueType::U8:
    case GgufValueType::I8:
    case GgufValueType::Bool:
        return 1;
    case GgufValueType::U16:
    case GgufValueType::I16:
        return 2;
    case GgufValueType::U32:
    case GgufValueType::I32:
    case GgufValueType::F32:
        return 4;
    case GgufValueType::U64:
    case GgufValueType::I64:
    case GgufValueType::F64:
        return 8;
    case GgufValueType::String:
    case GgufValueType::Array:
        break;
    }
    return 0;
}

GgufValue decode_gguf_value(GgufValueType type, std::span<const std::byte> bytes)
{
    switch (type) {
    case GgufValueType::U8:
        return uint64_t{load<uint8_t>(bytes)};
    case GgufValueType::I8:
        return int64_t{load<int8_t>(bytes)};
    case GgufValueType::U16:
        return uint64_t{load<uint16_t>(bytes)};
    case GgufValueType::I16:
        return int64_t{load<int16_t>(bytes)};
    case GgufValueType::U32:
        return uint64_t{load<uint32_t>(bytes)};
    case GgufValueType::I32:
        return int64_t{load<int32_t>(bytes)};
    case GgufValueType::F32:
        return shortest_double(load<float>(bytes));
    case GgufValueType::Bool:
        return load<uint8_t>(bytes) != 0;
    case GgufValueType::U64:
        return load<uint64_t>(bytes);
    case GgufValueType::I64:
        return load<int64_t>(bytes);
    case GgufValueType::F64:
        return load<double>(bytes);
    case GgufValueType::String:
    case GgufValueType::Array:
        break;
    }
    fail(ErrorCode::Internal, "GGUF value has no fixed size");
}

bool GgufMetadata::insert(std::string key, GgufValue value)
{
    return values_.emplace(std::move(key), value).second;
}

const GgufValue* GgufMetadata::find(std::string_view key) const
{
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
}

void GgufMetadata::wrong_kind(std::string_view key, std::string_view wanted) const
{
    fail(ErrorCode::FileCorrupt, "GGUF metadata value is of the wrong kind or out of range",
        {{"file", file_}, {"field", std::string(key)}, {"allowed", std::string(wanted)}});
}

const GgufArray* GgufMetadata::array(std::string_view key, std::string_view wanted) const
{
    const GgufValue* value = find(key);
    if (value == nullptr) {
        return nullptr;
    }
    const auto* array = std::get_if<GgufArray>(value);
    if (array == nullptr) {
        wrong_kind(key, wanted);
    }
    return array;
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const
{
    const GgufValue* value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (std::holds_alternative<GgufArray>(*value)) {
        const std::vector<int64_t> all = *integers(key);
        if (all.empty()
            || std::adjacent_find(all.begin(), all.end(), std::not_equal_to<>()) != all.end()) {
            wrong_kind(key, "one integer, or the same one for every layer");
        }
        return all.front();
    }
    const std::optional<int64_t> number = as_integer(*value);
    if (!number) {
        wrong_kind(key, "an integer");
    }
    return number;
}

std::optional<double> GgufMetadata::number(std::string_view key) const
{
    const GgufValue* value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    const std::optional<double> number = as_number(*value);
    if (!number) {
        wrong_kind(key, "a number");
    }
    return number;
}

std::optional<bool> GgufMetadata::flag(std::string_view key) const
{
    const GgufValue* value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    const auto* flag = std::get_if<bool>(value);
    if (flag == nullptr) {
        wrong_kind(key, "a bool");
    }
    return *flag;
}

std::optional<std::string> GgufMetadata::text(std::string_view key) const
{
    const GgufValue* value = find(key);
    if (value == nullptr) {
        return std::nullopt;
    }
    const auto* text = std::get_if<std::string_view>(value);
    if (text == nullptr) {
        wrong_kind(key, "a string");
    }
    return std::string(*text);
}

std::optional<std::vector<std::string_view>> GgufMetadata::texts(std::string_view key) const
{
    const GgufArray* stored = array(key, "an array of strings");
    if (stored == nullptr) {
        return std::nullopt;
    }
    if (stored->element != GgufValueType::String) {
        wrong_kind(key, "an array of strings");
    }
    std::vector<std::string_view> result;
    result.reserve(static_cast<std::size_t>(stored->count));
    std::span<const std::byte> rest = stored->bytes;
    for (int64_t i = 0; i < stored->count; ++i) {
        const auto length = static_cast<std::size_t>(load<uint64_t>(rest));
        result.emplace_back(reinterpret_cast<const char*>(rest.data()) + sizeof(uint64_t), length);
        rest = rest.subspan(sizeof(uint64_t) + length);
    }
    return result;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const
{
    const GgufArray* stored = array(key, "an array of integers");
    if (stored == nullptr) {
        return std::nullopt;
    }
    std::vector<int64_t> result;
    for (int64_t i = 0; i < stored->count; ++i) {
        const bool fixed = gguf_value_bytes(stored->element) > 0;
        const std::optional<int64_t> number =
            fixed ? as_integer(element(*stored, i)) : std::nullopt;
        if (!number) {
            wrong_kind(key, "an array of integers");
        }
        result.push_back(*number);
    }
    return result;
}

std::optional<std::vector<double>> GgufMetadata::numbers(std::string_view key) const
{
    const GgufArray* stored = array(key, "an array of numbers");
    if (stored == nullptr) {
        return std::nullopt;
    }
    std::vector<double> result;
    for (int64_t i = 0; i < stored->count; ++i) {
        const bool fixed = gguf_value_bytes(stored->element) > 0;
        const std::optional<double> number = fixed ? as_number(element(*stored, i)) : std::nullopt;
        if (!number) {
            wrong_kind(key, "an array of numbers");
        }
        result.push_back(*number);
    }
    return result;
}

} // namespace bitsmith::tensor
