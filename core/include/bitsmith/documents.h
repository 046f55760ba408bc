// SPDX-License-Identifier: GPL-3.0-or-later
// JSON documents that programs print for other programs: lists, errors, plans. Each text is one
// whole document with a newline. Jobs, events and reports are in spec_json.h.
#pragma once

#include <bitsmith/catalog.h>
#include <bitsmith/check.h>
#include <bitsmith/device.h>
#include <bitsmith/report.h>
#include <bitsmith/run_reader.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith {

/// {"error": {"code", "message", "context": {...}, "hint"}}
std::string error_document(const Error& error);
/// The same for a failure that is not an Error; `code` is free, for example "usage".
std::string error_document(std::string_view code, std::string_view message);
/// {"error": {"code": "refused", ..., "issues": [...]}}
std::string refusal_document(const std::vector<Issue>& issues);

/// What a dry run found: {"issues", "average_bits", "estimate", "plan"}.
std::string plan_document(
    const Plan& plan, const Estimate& estimate, const std::vector<Issue>& issues);

/// {"runs": [...]}
std::string runs_document(const std::vector<RunSummary>& runs);
/// One run: its summary, its spec, its report when it has one.
std::string run_document(
    const RunSummary& run, const JobSpec& spec, const std::optional<Report>& report);

std::string document(const ExportReport& report);
/// {"ok", "findings": [...]}
std::string findings_document(const std::vector<std::string>& findings);
/// {"text": ...}
std::string text_document(std::string_view text);

std::string document(const std::vector<SchemeInfo>& items); ///< {"schemes": [...]}
std::string document(const std::vector<RecipeInfo>& items); ///< {"recipes": [...]}
std::string document(const std::vector<FormatInfo>& items); ///< {"formats": [...]}
std::string document(const std::vector<FamilyInfo>& items); ///< {"families": [...]}
std::string document(const std::vector<DeviceInfo>& items); ///< {"devices": [...]}
std::string document(std::string_view key, const std::vector<NamedItem>& items);

} // namespace bitsmith
