// SPDX-License-Identifier: GPL-3.0-or-later
// The command line program without main(): command table, errors, exit codes.
#pragma once

#include "console.h"

#include <string>
#include <vector>

namespace bitsmith::cli {

/// `arguments` without the program's name. Never throws; gives an ExitCode.
int run_program(const std::vector<std::string>& arguments, Console console);

} // namespace bitsmith::cli
