// SPDX-License-Identifier: GPL-3.0-or-later
// The program in a few blocking functions, callable from any one thread. Two jobs must not run at
// the same time in one process.
#pragma once

#include <bitsmith/answers.h>
#include <bitsmith/check.h>
#include <bitsmith/control.h>
#include <bitsmith/job_spec.h>
#include <bitsmith/model_info.h>
#include <bitsmith/observer.h>
#include <bitsmith/report.h>

#include <filesystem>
#include <functional>
#include <optional>
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

/// Exports a finished run in one format into `output` (a folder that does not exist yet), with
/// `details` in place of those of its job.
ExportReport export_run(const std::filesystem::path& run, const std::string& format,
    const std::filesystem::path& output, Observer& observer, RunControl control,
    const std::optional<ExportDetails>& details = {});

struct ConvertOptions
{
    std::string model;
    /// Of the catalogue; bf16, f16 and f32 mean a plain folder (fake) of that type.
    std::string format;
    /// Element type of the decoded weights: bf16, f16, f32. Empty: the codes of a quantized model
    /// are taken over, and the weights of any other keep their type.
    std::string type;
    std::filesystem::path output; ///< a folder that does not exist yet
};
struct ConvertReport
{
    std::string model; ///< as the user named it
    std::string format; ///< of the catalogue
    std::string path;
    int64_t bytes = 0; ///< of all files
    int64_t layers = 0; ///< whose codes were taken over; 0: all weights are plain
    /// What runtimes round besides the weights and the format does not say; `convert` then ends
    /// with code 5.
    std::vector<std::string> deviations;
};
/// Writes a model in another format; nothing is tuned, and there is no run. Throws UnsupportedScheme
/// when the format does not hold the codes of every quantized layer exactly, and InvalidSpec when
/// the format holds quantized layers only and the model has none.
ConvertReport convert_model(const ConvertOptions& options, Observer& observer, RunControl control);
/// {"model", "format", "path", "bytes", "layers", "deviations"}
std::string document(const ConvertReport& report);

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

/// Lets the original model of `run` and an export of it answer comparison_prompts(), always with
/// the most likely token. One model after the other, each whole in memory in fp32. Emits
/// StageProgress in tokens. Throws what opening either model throws.
std::vector<AnswerPair> compare_answers(const std::filesystem::path& run,
    const std::filesystem::path& exported, Observer& observer, RunControl control);

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

/// Re-opens a model folder or GGUF file, whoever wrote it: its structure, and the hashes in
/// bitsmith.json where that stands beside the weights. With the `run` that it was exported from,
/// unless that is empty, also its tensors and values. A snapshot in the Hub cache is compared with
/// the hashes it was published under instead. Empty result: all is well. Otherwise one text per
/// finding.
std::vector<std::string> verify_export(
    const std::filesystem::path& exported, const std::filesystem::path& run);

/// Writes a tiny random model (two blocks, fixed seed, byte tokenizer) as a Hugging Face folder.
/// For tests and the tour.
void write_tiny_model(const std::filesystem::path& folder);

/// The demonstration job: the demo model when the set-up has fetched it, else the tiny model; sized
/// for a few minutes on two cores.
JobSpec demo_job();

struct ImatrixOptions
{
    std::string model;
    std::string dataset = "self"; ///< see CalibrationSection
    std::filesystem::path output; ///< a file that does not exist yet
    int64_t nsamples = 128; ///< windows
    int64_t seqlen = 512; ///< tokens per window
    int64_t batch_size = 8; ///< windows that pass through a block together
    std::string device = "auto";
    int64_t threads = 0;
};
struct ImatrixReport
{
    std::string model; ///< as the user named it
    std::string path;
    int64_t bytes = 0;
    int64_t layers = 0; ///< measured
    int64_t unreached = 0; ///< experts that no token was sent to
    int64_t windows = 0;
    int64_t tokens = 0; ///< that count
};
/// Writes an importance matrix of llama.cpp (GGUF): the squared inputs of every quantizable layer of
/// the blocks, summed over the tokens of the windows; padding does not count, except in experts,
/// which count what they are sent. Throws InvalidSpec when the output exists, UnsupportedModel for
/// families that GGUF has no names for, NumericFailure naming the layer.
ImatrixReport write_importance(
    const ImatrixOptions& options, Observer& observer, RunControl control);
/// {"model", "path", "bytes", "layers", "unreached", "windows", "tokens"}
std::string document(const ImatrixReport& report);

} // namespace bitsmith
