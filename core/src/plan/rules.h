// SPDX-License-Identifier: GPL-3.0-or-later
// The catalogue of validity rules (ui.md 5.9) as a list. Form, command line and tests share it.
#pragma once

#include <bitsmith/check.h>

#include <optional>
#include <span>

namespace bitsmith::plan {

/// What a rule may look at. Everything that could not be computed is empty.
struct Subject
{
    const JobSpec& spec;
    const ModelInfo* model; ///< null: not known yet
    std::optional<Scheme> scheme; ///< resolved base scheme
    std::optional<Plan> plan;
};

/// One rule. `find` appends one issue per finding; id and severity are filled in by check().
struct Rule
{
    const char* id;
    Severity severity;
    void (*find)(const Subject& subject, std::vector<Issue>& found);
};

/// Whether an override takes a layer. Routers, heads and the like take a scheme only when a rule
/// names them in full: a broad pattern must not reach them by accident (ahead.md 5, row 69).
bool rule_applies(const std::string& pattern, const LayerInfo& layer);

std::span<const Rule> scheme_rules();
std::span<const Rule> pattern_rules();
std::span<const Rule> setting_rules();

/// For use by rules.
inline Issue finding(std::string field, std::string message, std::string fix_value = {})
{
    Issue issue;
    issue.field = std::move(field);
    issue.message = std::move(message);
    issue.fix_value = std::move(fix_value);
    return issue;
}

} // namespace bitsmith::plan
