// SPDX-License-Identifier: GPL-3.0-or-later
#include "plan/rules.h"

#include <algorithm>

namespace bitsmith {

namespace {

plan::Subject make_subject(const JobSpec& spec, const ModelInfo* model)
{
    plan::Subject subject{spec, model, {}, {}};
    try {
        subject.scheme = resolve_scheme(spec.scheme);
        if (model != nullptr) {
            subject.plan = build_plan(spec, *model);
        }
    } catch (const Error&) {
        // The rule about unreadable schemes (V29) asks again and reports it.
    }
    return subject;
}

void apply(
    std::span<const plan::Rule> rules, const plan::Subject& subject, std::vector<Issue>& issues)
{
    for (const plan::Rule& rule : rules) {
        std::vector<Issue> found;
        rule.find(subject, found);
        for (Issue& issue : found) {
            issue.id = rule.id;
            issue.severity = rule.severity;
            issues.push_back(std::move(issue));
        }
    }
}

} // namespace

std::vector<Issue> check(const JobSpec& spec, const ModelInfo* model)
{
    const plan::Subject subject = make_subject(spec, model);
    std::vector<Issue> issues;
    apply(plan::scheme_rules(), subject, issues);
    apply(plan::pattern_rules(), subject, issues);
    apply(plan::setting_rules(), subject, issues);
    std::stable_sort(issues.begin(), issues.end(),
        [](const Issue& a, const Issue& b) { return a.severity < b.severity; });
    return issues;
}

} // namespace bitsmith
