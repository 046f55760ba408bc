// SPDX-License-Identifier: GPL-3.0-or-later
// Where a command writes: results, and everything else.
#pragma once

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
    kExitRefused = 4
};

} // namespace bitsmith::cli
