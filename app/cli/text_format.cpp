// SPDX-License-Identifier: GPL-3.0-or-later
#include "text_format.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace bitsmith::cli {

namespace {

/// Shown width: bytes that begin a character.
std::size_t width_of(const std::string& text)
{
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(),
        [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

bool is_number(const std::string& cell)
{
    return cell.empty() || cell == "-" || (cell[0] >= '0' && cell[0] <= '9')
        || (cell.size() > 1 && cell[0] == '-' && cell[1] >= '0' && cell[1] <= '9');
}

} // namespace

std::string bytes_text(int64_t bytes)
{
    constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    return fixed_text(value, unit == 0 ? 0 : 1) + " " + units[unit];
}

std::string seconds_text(double seconds)
{
    const auto whole = static_cast<long long>(seconds + 0.5);
    std::array<char, 48> text{};
    if (seconds < 9.95) {
        std::snprintf(text.data(), text.size(), "%.1f s", seconds);
    } else if (whole < 60) {
        std::snprintf(text.data(), text.size(), "%lld s", whole);
    } else if (whole < 3600) {
        std::snprintf(text.data(), text.size(), "%lld min %02lld s", whole / 60, whole % 60);
    } else {
        std::snprintf(text.data(), text.size(), "%lld h %02lld min", whole / 3600, whole / 60 % 60);
    }
    return text.data();
}

std::string number_text(double value)
{
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.4g", value);
    return text.data();
}

std::string fixed_text(double value, int digits)
{
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return text.data();
}

std::string time_text(int64_t ms)
{
    const auto seconds = static_cast<std::time_t>(ms / 1000);
    std::tm parts{};
    ::localtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &parts);
    return text.data();
}

void print_columns(
    std::ostream& out, const std::vector<std::vector<std::string>>& rows, bool heading)
{
    std::vector<std::size_t> widths;
    std::vector<bool> right;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        widths.resize(std::max(widths.size(), rows[r].size()), 0);
        right.resize(widths.size(), true);
        for (std::size_t c = 0; c < rows[r].size(); ++c) {
            widths[c] = std::max(widths[c], width_of(rows[r][c]));
            right[c] = right[c] && ((heading && r == 0) || is_number(rows[r][c]));
        }
    }
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c) {
            const std::string pad(widths[c] - width_of(row[c]), ' ');
            line += (c > 0 ? "  " : "") + (right[c] ? pad + row[c] : row[c] + pad);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    }
}

} // namespace bitsmith::cli
