// SPDX-License-Identifier: GPL-3.0-or-later
// Small text functions.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith {

/// Concatenates anything that has operator<<.
template <class... Parts>
std::string concat(const Parts&... parts)
{
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

std::string join(const std::vector<std::string>& parts, std::string_view separator);
/// "a, b, c and 5 more" of a list that may be long.
std::string some_of(const std::vector<std::string>& names, std::size_t shown = 3);
/// Splits at `separator`, trims blanks, drops empty parts.
std::vector<std::string> split(std::string_view text, char separator);
std::string lower(std::string_view text);
/// `pattern` with a number in the place of its first `mark`, which it must have: "layers.{i}.".
std::string with_number(std::string pattern, std::string_view mark, int64_t number);

/// Text of a file for a message: control characters as \\xNN, long text cut with "...".
std::string printable(std::string_view text);
/// "[2, 64]".
std::string shape_text(const std::vector<int64_t>& shape);

/// "1.4 GiB".
std::string format_bytes(int64_t bytes);
/// "2 min 05 s".
std::string format_duration(double seconds);

/// Glob with `*` and `?`; a pattern without either matches when `name` equals it or contains it.
/// An entry that ends with a digit does not match inside a longer number: `layers.4` is not in
/// `layers.40`.
bool matches_pattern(std::string_view pattern, std::string_view name);

/// The candidate with the smallest edit distance to `word`; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

} // namespace bitsmith
