// SPDX-License-Identifier: GPL-3.0-or-later
// Members of quantization_config, checked as they are read. Absent and null are the same.
#pragma once

#include "base/json_io.h"

#include <cstdint>
#include <string>
#include <utility>

namespace bitsmith::source {

/// Throws UnsupportedFormat naming "quantization_config.<field>".
[[noreturn]] void unsupported_field(
    const std::string& field, const std::string& found, const std::string& allowed);
/// Throws FileCorrupt naming "quantization_config.<field>"; null is said to be absent.
[[noreturn]] void malformed_field(
    const std::string& field, const Json& found, const std::string& allowed);

/// Throws FileCorrupt unless the whole description is an object.
void require_object(const Json& quantization_config);

/// The member, or null for one that is absent or not in an object.
const Json& member(const Json& object, const std::string& key);
/// Text as it is, other values as JSON.
std::string text_field(const Json& object, const std::string& key, const std::string& otherwise);
/// Throws UnsupportedFormat for another kind of value.
int64_t integer_field(const Json& object, const std::string& key, int64_t otherwise);
/// Throws UnsupportedFormat for another kind of value.
bool flag_field(const Json& object, const std::string& key, bool otherwise);
/// Rows and columns of tiles, from 1 to 65536. Throws FileCorrupt naming `field`.
std::pair<int64_t, int64_t> tile_of(const Json& sizes, const std::string& field);

} // namespace bitsmith::source
