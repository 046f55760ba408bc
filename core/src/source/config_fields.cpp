// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/config_fields.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <limits>

namespace bitsmith::source {

namespace {

constexpr int64_t kLargestTile = 65536;

bool is_tile_side(const Json& size)
{
    return size.is_number_integer() && size >= 1 && size <= kLargestTile;
}

} // namespace

void unsupported_field(
    const std::string& field, const std::string& found, const std::string& allowed)
{
    fail(ErrorCode::UnsupportedFormat, "this quantized checkpoint cannot be read",
        {{"field", printable(concat("quantization_config.", field))}, {"found", printable(found)},
            {"allowed", allowed}});
}

void malformed_field(const std::string& field, const Json& found, const std::string& allowed)
{
    fail(ErrorCode::FileCorrupt, "quantization_config is malformed",
        {{"field", printable(concat("quantization_config.", field))},
            {"found", found.is_null() ? "absent" : printable(found.dump())}, {"allowed", allowed}});
}

void require_object(const Json& quantization_config)
{
    if (!quantization_config.is_object()) {
        fail(ErrorCode::FileCorrupt, "quantization_config is not an object");
    }
}

const Json& member(const Json& object, const std::string& key)
{
    static const Json none;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() ? *found : none;
}

std::string text_field(const Json& object, const std::string& key, const std::string& otherwise)
{
    const Json& value = member(object, key);
    if (value.is_null()) {
        return otherwise;
    }
    return value.is_string() ? value.get<std::string>() : value.dump();
}

int64_t integer_field(const Json& object, const std::string& key, int64_t otherwise)
{
    const Json& value = member(object, key);
    if (value.is_null()) {
        return otherwise;
    }
    const bool is_beyond = value.is_number_unsigned()
        && value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!value.is_number_integer() || is_beyond) {
        unsupported_field(key, value.dump(), "an integer");
    }
    return value.get<int64_t>();
}

bool flag_field(const Json& object, const std::string& key, bool otherwise)
{
    const Json& value = member(object, key);
    if (value.is_null()) {
        return otherwise;
    }
    if (!value.is_boolean()) {
        unsupported_field(key, value.dump(), "true, false");
    }
    return value.get<bool>();
}

std::pair<int64_t, int64_t> tile_of(const Json& sizes, const std::string& field)
{
    if (!sizes.is_array() || sizes.size() != 2 || !is_tile_side(sizes[0])
        || !is_tile_side(sizes[1])) {
        malformed_field(field, sizes, concat("two positive integers up to ", kLargestTile));
    }
    return {sizes[0].get<int64_t>(), sizes[1].get<int64_t>()};
}

} // namespace bitsmith::source
