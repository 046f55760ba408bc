// SPDX-License-Identifier: GPL-3.0-or-later
// Where a command writes: results, and everything else.
#pragma once

#include <bitsmith/error.h>

#include <ostream>

namespace bitsmith::cli {

struct Console
{
    std::ostream& out; ///< results
    std::ostream& err; ///< progress and messages
    bool terminal = false; ///< err is a terminal: a live line can be redrawn
    int width = 80; ///< of the terminal
};

enum ExitCode
{
    kExitDone = 0,
    kExitFailed = 1,
    kExitUsage = 2,
    kExitCancelled = 3,
    kExitRefused = 4,
    kExitDeviated = 5 ///< done, but some layers could not get what was asked for
};

/// Refused when the settings are at fault, failed otherwise.
int exit_code_of(ErrorCode code);

} // namespace bitsmith::cli
