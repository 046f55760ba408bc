// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/name_pattern.h"

#include "base/text.h"
#include "source/config_fields.h"

#include <algorithm>

namespace bitsmith::source {

namespace {

constexpr std::size_t kLongest = 512;
constexpr int64_t kMostRepetitions = 256; ///< all counts of {n,m} multiplied
/// Follows all ways of a match at once, without a stack frame per character.
constexpr auto kSyntax = std::regex::ECMAScript | std::regex_constants::__polynomial;

/// The library copies what is repeated, so nested counts multiply.
int64_t repetitions_of(const std::string& text)
{
    int64_t product = 1, count = 0;
    bool is_inside = false;
    for (const char c : text) {
        if (c == '{' || c == '}' || (is_inside && c == ',')) {
            product *= std::max<int64_t>(count, 1);
            is_inside = c != '}';
            count = 0;
        } else if (is_inside && c >= '0' && c <= '9') {
            count = count * 10 + (c - '0');
        }
        if (product > kMostRepetitions || count > kMostRepetitions) {
            return kMostRepetitions + 1;
        }
    }
    return product;
}

std::regex compiled(const std::string& text, const std::string& field)
{
    if (text.size() > kLongest) {
        unsupported_field(field, text, concat("patterns of up to ", kLongest, " bytes"));
    }
    if (repetitions_of(text) > kMostRepetitions) {
        unsupported_field(field, text, concat("up to ", kMostRepetitions, " repetitions"));
    }
    try {
        return std::regex(text, kSyntax);
    } catch (const std::regex_error& error) {
        unsupported_field(field, concat(text, " (", error.what(), ")"), "a regular expression");
    }
}

} // namespace

NamePattern::NamePattern(const std::string& text, std::string field)
    : field_(std::move(field))
    , at_start_(compiled(text, field_))
    , anywhere_(concat("[\\s\\S]*(?:", text, ")"), kSyntax)
{ }

bool NamePattern::matches_start(const std::string& name) const
{
    return match(name, at_start_);
}

bool NamePattern::occurs_in(const std::string& name) const
{
    return match(name, anywhere_);
}

/// Only from the start: a search begins anew at every character.
bool NamePattern::match(const std::string& name, const std::regex& regex) const
{
    if (name.size() > kLongest) {
        unsupported_field(field_, name, concat("layer names of up to ", kLongest, " bytes"));
    }
    try {
        return std::regex_search(name, regex, std::regex_constants::match_continuous);
    } catch (const std::regex_error& error) {
        unsupported_field(field_, error.what(), "a pattern that is matched in reasonable time");
    }
}

bool is_pattern(const std::string& key)
{
    return key.find_first_of("*+?^$()[]{}|\\") != std::string::npos;
}

} // namespace bitsmith::source
