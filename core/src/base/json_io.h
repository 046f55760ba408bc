// SPDX-License-Identifier: GPL-3.0-or-later
// JSON reading with limits. Struct reading and writing by visit_fields is in values/fields_json.h.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string_view>

namespace bitsmith {

/// Keeps the order of keys as written.
using Json = nlohmann::ordered_json;

struct JsonLimits
{
    int64_t bytes = 64LL << 20;
    int depth = 64;
    int64_t values = 16LL << 20; ///< of all kinds together: bounds the memory of the tree
};

/// Parses JSON text. Accepts a UTF-8 byte order mark. Throws FileCorrupt with origin, line and
/// column for bad syntax, NaN literals, trailing garbage, duplicate keys, too deep nesting, too
/// many bytes (ahead.md 5, rows 2-4).
Json parse_json(std::string_view text, std::string_view origin, JsonLimits limits = {});
Json read_json_file(const std::filesystem::path& file, JsonLimits limits = {});

} // namespace bitsmith
