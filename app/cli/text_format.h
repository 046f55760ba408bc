// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers and columns as the terminal shows them.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace bitsmith::cli {

std::string bytes_text(int64_t bytes); ///< "1.4 GiB"
std::string seconds_text(double seconds); ///< "2 min 05 s"
std::string number_text(double value); ///< four significant digits
std::string fixed_text(double value, int digits);
std::string time_text(int64_t ms); ///< local time, "2026-11-21 10:55"

/// Rows of cells in columns two blanks apart; a column whose cells are all numbers is aligned to
/// the right. The first row is the heading when `heading` is set.
void print_columns(
    std::ostream& out, const std::vector<std::vector<std::string>>& rows, bool heading = false);

} // namespace bitsmith::cli
