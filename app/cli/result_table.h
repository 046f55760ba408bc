// SPDX-License-Identifier: GPL-3.0-or-later
// Results of commands as tables for people.
#pragma once

#include <bitsmith/check.h>
#include <bitsmith/report.h>

#include <ostream>
#include <string>
#include <vector>

namespace bitsmith::cli {

/// Sizes, bits, quality, times, the layers with the largest error. `original_bytes` 0: unknown.
void print_report(std::ostream& out, const Report& report, int64_t original_bytes);
/// "layer: reason" a line; nothing when there are none.
void print_deviations(std::ostream& out, const std::vector<std::string>& deviations);
void print_eval(std::ostream& out, const EvalReport& report);
/// Family, sizes, and the layers grouped by shape.
void print_model(std::ostream& out, const ModelInfo& info);
/// One line per finding, with the field and what it could be set to.
void print_issues(std::ostream& out, const std::vector<Issue>& issues);
/// One line per override and pattern to keep that takes layers: which, how many, what they get.
std::vector<std::string> rule_lines(const Plan& plan);
/// What a job would do: bits, sizes, memory, the schemes in use, and what rules take.
void print_plan(std::ostream& out, const Plan& plan, const Estimate& estimate);

} // namespace bitsmith::cli
