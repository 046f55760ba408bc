// SPDX-License-Identifier: GPL-3.0-or-later
// The program in a few blocking functions, callable from any one thread. Two jobs must not run at
// the same time in one process.
#pragma once

#include <bitsmith/check.h>
#include <bitsmith/control.h>
#include <bitsmith/job_spec.h>
#include <bitsmith/model_info.h>
#include <bitsmith/observer.h>
#include <bitsmith/report.h>

#include <filesystem>
#include <functional>
#include <string>

namespace bitsmith {

/// Reads headers only; under a second. Throws FileNotFound, FileCorrupt, UnsupportedModel.
ModelInfo inspect_model(const std::string& model);

/// How a job ended. `report` holds what is known also when it failed.
struct Outcome
{
    JobState state = JobState::Done;
    ErrorCode error_code = ErrorCode::Internal; ///< valid when state is Failed
    std::string message;
    Report report;
};

/// Runs a whole job: load, calibrate, plan, tune, export, evaluate. Never throws.
/// `resume` continues the run in spec.runtime.run_dir; otherwise that folder must not hold a run.
Outcome run(const JobSpec& spec, bool resume, Observer& observer, RunControl control);

/// Exports a finished run in one format into `output` (a folder that does not exist yet).
ExportReport export_run(const std::filesystem::path& run, const std::string& format,
    const std::filesystem::path& output, Observer& observer, RunControl control);

/// What `eval` measures.
struct EvalOptions
{
    std::string model;
    std::string reference; ///< empty: perplexity only
    std::string text; ///< UTF-8 file, or .safetensors with input_ids
    int64_t tokens = 8192;
    int64_t seqlen = 512;
    std::string device = "auto";
    int64_t threads = 0;
};
EvalReport evaluate(const EvalOptions& options, Observer& observer, RunControl control);

struct GenerateOptions
{
    std::string model;
    std::string prompt;
    bool chat = false;
    int64_t max_tokens = 128;
    double temperature = 0; ///< 0: greedy
    int64_t top_k = 0;
    double top_p = 1;
    int64_t seed = 42;
    std::string device = "auto";
    int64_t threads = 0;
};
/// Emits TextProduced events and returns the whole text.
std::string generate(const GenerateOptions& options, Observer& observer, RunControl control);

struct TraceOptions
{
    std::string model;
    std::string text; ///< used when `ids` is empty
    std::vector<int64_t> ids;
    std::filesystem::path
        output; ///< .safetensors: input_ids, block.N [tokens, hidden], logits [tokens, vocab], fp32
    int64_t threads = 0;
};
void trace(const TraceOptions& options, RunControl control);

/// Re-opens an export: structure, coverage, hashes, and a dequantized sample against `run` unless
/// that is empty. A snapshot in the Hub cache is compared with the hashes it was published under
/// instead. Empty result: all is well. Otherwise one text per finding.
std::vector<std::string> verify_export(
    const std::filesystem::path& exported, const std::filesystem::path& run);

/// Writes a tiny random model (two blocks, fixed seed, byte tokenizer) as a Hugging Face folder.
/// For tests and the tour.
void write_tiny_model(const std::filesystem::path& folder);

/// The demonstration job: the demo model when the set-up has fetched it, else the tiny model; sized
/// for a few minutes on two cores.
JobSpec demo_job();

} // namespace bitsmith
