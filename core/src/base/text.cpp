// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <numeric>

namespace bitsmith {

namespace {

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool glob(std::string_view pattern, std::string_view name)
{
    std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            mark = n;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
            ++p;
            ++n;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool contains_word(std::string_view pattern, std::string_view name)
{
    for (auto at = name.find(pattern); at != std::string_view::npos;
         at = name.find(pattern, at + 1)) {
        const std::size_t end = at + pattern.size();
        const bool number_goes_on =
            is_digit(pattern.back()) && end < name.size() && is_digit(name[end]);
        if (!number_goes_on) {
            return true;
        }
    }
    return false;
}

std::size_t edit_distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
        }
    }
    return row.back();
}

} // namespace

std::string join(const std::vector<std::string>& parts, std::string_view separator)
{
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0) {
            text += separator;
        }
        text += parts[i];
    }
    return text;
}

std::string some_of(const std::vector<std::string>& names, std::size_t shown)
{
    const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), shown));
    const std::string text = join({names.begin(), end}, ", ");
    return names.size() > shown ? concat(text, " and ", names.size() - shown, " more") : text;
}

std::vector<std::string> split(std::string_view text, char separator)
{
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        std::string_view part = text.substr(0, end);
        const std::size_t first = part.find_first_not_of(" \t\r\n");
        if (first != std::string_view::npos) {
            part = part.substr(first, part.find_last_not_of(" \t\r\n") - first + 1);
            parts.emplace_back(part);
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

std::string lower(std::string_view text)
{
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
        [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

std::string with_number(std::string pattern, std::string_view mark, int64_t number)
{
    const std::size_t at = pattern.find(mark);
    BITSMITH_ASSERT(at != std::string::npos);
    return pattern.replace(at, mark.size(), std::to_string(number));
}

std::string format_bytes(int64_t bytes)
{
    constexpr std::array<const char*, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text.data();
}

std::string printable(std::string_view text)
{
    constexpr std::size_t limit = 200;
    std::string out;
    for (const char c : text.substr(0, limit)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7F) {
            out += c;
        } else {
            std::array<char, 8> code{};
            std::snprintf(code.data(), code.size(), "\\x%02x", byte);
            out += code.data();
        }
    }
    return text.size() > limit ? out + "..." : out;
}

std::string shape_text(const std::vector<int64_t>& shape)
{
    std::vector<std::string> sizes;
    for (const int64_t size : shape) {
        sizes.push_back(std::to_string(size));
    }
    return "[" + join(sizes, ", ") + "]";
}

std::string format_duration(double seconds)
{
    std::array<char, 48> text{};
    const auto whole = static_cast<int64_t>(seconds + 0.5);
    if (seconds < 9.95) {
        std::snprintf(text.data(), text.size(), "%.1f s", seconds);
    } else if (whole < 60) {
        std::snprintf(text.data(), text.size(), "%d s", static_cast<int>(whole));
    } else if (whole < 3600) {
        std::snprintf(text.data(), text.size(), "%d min %02d s", static_cast<int>(whole / 60),
            static_cast<int>(whole % 60));
    } else {
        std::snprintf(text.data(), text.size(), "%lld h %02d min",
            static_cast<long long>(whole / 3600), static_cast<int>(whole / 60 % 60));
    }
    return text.data();
}

bool matches_pattern(std::string_view pattern, std::string_view name)
{
    if (pattern.empty()) {
        return false;
    }
    if (pattern.find_first_of("*?") != std::string_view::npos) {
        return glob(pattern, name);
    }
    return contains_word(pattern, name);
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates)
{
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const std::size_t distance = edit_distance(lower(word), lower(candidate));
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

} // namespace bitsmith
