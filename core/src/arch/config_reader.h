// SPDX-License-Identifier: GPL-3.0-or-later
// Strict typed reading of a config.json object: every error names the field, what was found and
// what is allowed. A missing field and a null one can be told apart (models.md 6.14).
#pragma once

#include "base/json_io.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::arch {

class ConfigReader
{
public:
    /// `object` must outlive the reader. `path` is put before field names in errors
    /// ("rope_scaling."). Throws InvalidSpec when `object` is not a JSON object.
    explicit ConfigReader(const Json& object, std::string path = {});

    bool has(std::string_view field) const; ///< present, null included
    bool is_set(std::string_view field) const; ///< present and not null
    const Json& object() const { return object_; }

    /// Positive integer up to 2^30; throws InvalidSpec when missing, null or anything else.
    int64_t count(std::string_view field) const;
    int64_t count_or(std::string_view field, int64_t otherwise) const; ///< missing or null
    std::optional<int64_t> optional_count(std::string_view field) const;
    /// Like count, and 0 is allowed.
    int64_t index_or(std::string_view field, int64_t otherwise) const;
    /// Finite number above zero.
    double number_or(std::string_view field, double otherwise) const;
    std::optional<double> optional_number(std::string_view field) const;
    bool flag_or(std::string_view field, bool otherwise) const;
    /// Empty when missing or null.
    std::string word(std::string_view field) const;
    std::vector<std::string> words(std::string_view field) const;
    std::vector<double> numbers(std::string_view field) const;
    std::vector<int64_t> indices(std::string_view field) const;

    /// Throws UnsupportedModel when `field` is set to something other than one of `allowed`.
    void require_flag(std::string_view field, bool otherwise, bool allowed) const;

    [[noreturn]] void reject(std::string_view field, std::string_view allowed) const;
    [[noreturn]] void unsupported(std::string_view field, std::string_view allowed) const;

private:
    const Json* find(std::string_view field) const; ///< null pointer when missing or null
    std::string shown(std::string_view field) const;
    int64_t integer(const Json& value, std::string_view field, int64_t lowest) const;
    double finite(const Json& value, std::string_view field) const;

    const Json& object_;
    std::string path_;
};

} // namespace bitsmith::arch
