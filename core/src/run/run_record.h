// SPDX-License-Identifier: GPL-3.0-or-later
// run.json: what a run is, written once when it is made and again when a resume changes settings
// that may change.
#pragma once

#include "base/file_ops.h"

#include <bitsmith/job_spec.h>
#include <bitsmith/model_info.h>
#include <bitsmith/plan.h>

#include <filesystem>

namespace bitsmith {

inline constexpr int64_t kRunSchemaVersion = 1;

/// Files of a run folder.
namespace run_files {
inline constexpr const char* kRun = "run.json";
inline constexpr const char* kJournal = "journal";
inline constexpr const char* kBlocks = "blocks";
inline constexpr const char* kInputs = "inputs";
inline constexpr const char* kCalibration = "calibration.safetensors";
inline constexpr const char* kFisher = "fisher.safetensors";
inline constexpr const char* kTouchedUp = "touched-up.safetensors";
inline constexpr const char* kReport = "report.json";
/// "blocks/0007.safetensors"
std::string numbered(const char* folder, int64_t index);
} // namespace run_files

struct RunRecord
{
    std::string program; ///< version of Bitsmith that made the run
    std::string torch; ///< version of LibTorch
    int64_t created_ms = 0;
    std::string fingerprint; ///< of the model
    int64_t blocks = 0;
    JobSpec spec;
    Plan plan;
};
template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, RunRecord>
void visit_fields(Visitor& v, Self& r)
{
    v("program", r.program, any_value(), "version of the program");
    v("torch", r.torch, any_value(), "version of LibTorch");
    v("created_ms", r.created_ms, any_value(), "time of creation");
    v("fingerprint", r.fingerprint, any_value(), "content of the model");
    v("blocks", r.blocks, range(0, 1e6, "blocks"), "decoder blocks");
    v("spec", r.spec, any_value(), "job");
    v("plan", r.plan, any_value(), "scheme of every layer");
}

RunRecord make_run_record(const JobSpec& spec, const ModelInfo& model, const Plan& plan);
void publish_run_record(
    FileSystem& fs, const std::filesystem::path& folder, const RunRecord& record);
/// Throws FileNotFound when `folder` is no run, FileCorrupt when its run.json cannot be read.
RunRecord read_run_record(const std::filesystem::path& folder);

/// Fields in which two jobs differ and that affect finished blocks, as (field, run's value, wished
/// value). Outputs, evaluation, batch size, device, threads, folders and the recipe's label may
/// differ (ui.md 6); so may the model's path, whose content the fingerprint covers.
struct FieldDifference
{
    std::string field, run, wish;
};
std::vector<FieldDifference> blocking_differences(const JobSpec& run, const JobSpec& wish);

} // namespace bitsmith
