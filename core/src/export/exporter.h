// SPDX-License-Identifier: GPL-3.0-or-later
// Writers of on-disk formats. An exporter fills a staging folder; publish_export verifies and
// renames it.
#pragma once

#include "base/context.h"
#include "base/file_ops.h"
#include "quant/codec.h"
#include "source/model_source.h"

#include <bitsmith/catalog.h>
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
    const EvalReport* measured = nullptr; ///< for the model card; null: nothing was measured
};

/// What a model card says about loading.
struct CardText
{
    std::string library; ///< word of the Hub, for example "transformers"
    std::string how_to_load; ///< Markdown
};

class Exporter
{
public:
    virtual ~Exporter() = default;
    virtual std::string_view id() const = 0;
    /// Id and texts for the catalogue.
    virtual FormatInfo info() const = 0;
    /// Empty: the format holds layers of this scheme. Otherwise the reason in one sentence.
    virtual std::string refusal(const Scheme& scheme) const = 0;
    /// Empty: the format holds models of this family. Otherwise the reason in one sentence.
    virtual std::string model_refusal(const ModelInfo& /*model*/) const { return {}; }
    /// Empty: the format tells a runtime to keep keys and values so. Otherwise the reason.
    virtual std::string cache_refusal(CacheType type) const;
    /// Empty: the format describes these schemes beside each other. Otherwise the reason in one
    /// sentence.
    virtual std::string plan_refusal(const Plan& /*plan*/) const { return {}; }
    /// Empty: the format holds a layer of this shape, whose scheme it does not refuse. Otherwise the
    /// reason in one sentence.
    virtual std::string shape_refusal(const PlannedLayer& /*layer*/) const { return {}; }
    /// Is this folder or file of this format? Looks at names and small files only.
    virtual bool recognizes(const std::filesystem::path& exported) const = 0;
    /// Size of all files; exact for tensors, an upper bound for the rest.
    virtual int64_t estimate_bytes(const ExportInput& input) const = 0;
    /// What this format does differently from plan or source, one sentence each: kept layers, other
    /// element types. They become warnings of the run and stand in the export.
    virtual std::vector<std::string> notes(const ExportInput& input) const = 0;
    virtual CardText card_text(const ExportInput& input) const = 0;
    /// Writes all files into `folder`, which exists and is empty. One tensor at a time in memory.
    /// Throws UnsupportedModel, UnsupportedScheme, ShapeMismatch, MissingTensor, WriteFailed.
    virtual void write(RunContext& context, FileSystem& fs, const ExportInput& input,
        const std::filesystem::path& folder) const = 0;
    /// Re-opens `folder` (or file), whoever wrote it: its structure (formats.md 11); against `input`
    /// also coverage and values when it is given. Empty: all is well.
    virtual std::vector<std::string> verify(
        const std::filesystem::path& folder, const ExportInput* input) const = 0;
};

/// The explicit list, in the order shown to users.
std::vector<const Exporter*> exporters();
/// Throws UnsupportedFormat with the known ids.
const Exporter& exporter_for(std::string_view id);
/// The exporter whose format `exported` is; null when it is of none.
const Exporter* find_exporter(const std::filesystem::path& exported);
/// The same; throws UnsupportedFormat.
const Exporter& exporter_of(const std::filesystem::path& exported);

/// Throws what publish_export would refuse of model and plan, so that a run learns it before it
/// works: UnsupportedModel, UnsupportedFormat, UnsupportedScheme, ShapeMismatch, MissingTensor.
void require_exportable(const Exporter& exporter, const source::ModelSource& model,
    const Plan& plan, const JobSpec& spec);

/// Staging folder beside `target` -> write -> verify -> completion marker with hashes -> one
/// rename. `target` must not exist or be empty, and must not be or lie in the model's folder. On
/// any error or cancellation the staging folder is removed and the target is untouched. Emits a
/// Warning per note and StageProgress per tensor. Source: ahead.md 4.9.
ExportReport publish_export(RunContext& context, FileSystem& fs, const Exporter& exporter,
    const ExportInput& input, const std::filesystem::path& target);

/// Report of an export that lies at `target` already, for a resumed run.
ExportReport describe_export(const Exporter& exporter, const std::filesystem::path& target);

} // namespace bitsmith::exporting
