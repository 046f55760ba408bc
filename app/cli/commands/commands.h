// SPDX-License-Identifier: GPL-3.0-or-later
// The commands. Each function adds its options to `app` and returns what runs when the command was
// given; options live in the returned function.
#pragma once

#include "console.h"

#include <CLI/CLI.hpp>

#include <functional>

namespace bitsmith::cli {

/// Gives an ExitCode; throws Error and Cancelled.
using Action = std::function<int(Console&)>;

Action add_inspect(CLI::App& app);
Action add_quantize(CLI::App& app);
Action add_demo(CLI::App& app);
Action add_export(CLI::App& app);
Action add_convert(CLI::App& app);
Action add_imatrix(CLI::App& app);
Action add_eval(CLI::App& app);
Action add_generate(CLI::App& app);
Action add_trace(CLI::App& app);
Action add_verify(CLI::App& app);
Action add_runs(CLI::App& app);
Action add_list(CLI::App& app);

} // namespace bitsmith::cli
