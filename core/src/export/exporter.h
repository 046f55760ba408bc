// SPDX-License-Identifier: GPL-3.0-or-later
// Writers of on-disk formats. An exporter fills a staging folder; publish_export verifies and
// renames it.
#pragma once

#include "base/context.h"
#include "base/file_ops.h"
#include "quant/codec.h"
#include "source/model_source.h"

#include <bitsmith/job_spec.h>
#include <bitsmith/plan.h>
#include <bitsmith/report.h>

#include <filesystem>

namespace bitsmith::exporting {

/// Everything an export needs; references outlive the call.
struct ExportInput
{
    const source::ModelSource& model;
    const Plan& plan;
    const quant::QuantizedStore& layers; ///< one entry per planned layer that is quantized
    const JobSpec& spec;
};

class Exporter
{
public:
    virtual ~Exporter() = default;
    virtual std::string_view id() const = 0;
    /// Empty: the format holds layers of this scheme. Otherwise the reason in one sentence.
    virtual std::string refusal(const Scheme& scheme) const = 0;
    /// Writes all files into `folder`, which exists and is empty. One tensor at a time in memory.
    virtual void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const = 0;
    /// Re-opens `folder` (or file): structure and coverage; against `input` also values when it is
    /// given. Empty: all is well.
    virtual std::vector<std::string> verify(
        const std::filesystem::path& folder, const ExportInput* input) const = 0;
};

/// The explicit list, in the order shown to users.
std::vector<const Exporter*> exporters();
/// Throws UnsupportedFormat with the known ids.
const Exporter& exporter_for(std::string_view id);

/// Staging folder beside `target` -> write -> verify -> completion marker with hashes -> one
/// rename. `target` must not exist or be empty. On any error the staging folder is removed and the
/// target is untouched.
ExportReport publish_export(RunContext& context, FileSystem& fs, const Exporter& exporter,
    const ExportInput& input, const std::filesystem::path& target);

} // namespace bitsmith::exporting
