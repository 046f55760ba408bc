// SPDX-License-Identifier: GPL-3.0-or-later
// Regular expressions of configurations, which choose layers by name.
#pragma once

#include <regex>
#include <string>

namespace bitsmith::source {

/// Written for Python's `re`; read as ECMAScript, which means the same for what configurations use.
/// Patterns and names are limited in length and counts, and there are no back-references, so that a
/// hostile pattern cannot take long.
class NamePattern
{
public:
    /// Throws UnsupportedFormat naming the key `field` of quantization_config for a pattern that is
    /// too long or not understood.
    NamePattern(const std::string& text, std::string field);

    /// Whether the pattern matches at the start of `name`. Throws UnsupportedFormat when matching
    /// takes more than the library allows.
    bool matches_start(const std::string& name) const;
    /// Whether it matches anywhere.
    bool occurs_in(const std::string& name) const;

private:
    bool match(const std::string& name, const std::regex& regex) const;

    std::string field_;
    std::regex at_start_, anywhere_;
};

/// Whether consumers take this key for a pattern rather than a name (formats.md 2.2).
bool is_pattern(const std::string& key);

} // namespace bitsmith::source
