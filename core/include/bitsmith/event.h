// SPDX-License-Identifier: GPL-3.0-or-later
// The facts a job reports. Past tense, plain values, never a tensor. Window, terminal, --events and
// the journal of a run all read this one stream. Adding a kind or a field is allowed; readers skip
// what they do not know; changing a meaning raises kEventSchemaVersion.
#pragma once

#include <bitsmith/error.h>
#include <bitsmith/plan.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace bitsmith {

inline constexpr int64_t kEventSchemaVersion = 1;

/// Named parts of a job, in order.
enum class Stage
{
    Load,
    Calibrate,
    Plan,
    Tune,
    TouchUp,
    Export,
    Evaluate
};
template <>
struct EnumNames<Stage>
{
    static constexpr std::array<std::string_view, 7> names = {
        "load", "calibrate", "plan", "tune", "touch-up", "export", "evaluate"};
};

#define BITSMITH_EVENT_FIELDS(Type)                                                                \
    template <class Visitor, class Self>                                                           \
    requires std::same_as<std::remove_const_t<Self>, Type>                                         \
    void visit_fields([[maybe_unused]] Visitor& v, [[maybe_unused]] Self& e)

struct JobStarted
{
    std::string run; ///< folder
    std::string model;
    std::string scheme;
    std::string recipe;
    std::string device;
    int64_t blocks = 0;
    int64_t iters = 0;
    int64_t resumed_blocks = 0; ///< blocks taken from an earlier start of the same run
};
BITSMITH_EVENT_FIELDS(JobStarted)
{
    v("run", e.run, any_value(), "");
    v("model", e.model, any_value(), "");
    v("scheme", e.scheme, any_value(), "");
    v("recipe", e.recipe, any_value(), "");
    v("device", e.device, any_value(), "");
    v("blocks", e.blocks, any_value(), "");
    v("iters", e.iters, any_value(), "");
    v("resumed_blocks", e.resumed_blocks, any_value(), "");
}

struct StageStarted
{
    Stage stage = Stage::Load;
    std::string detail; ///< what is worked on, for people
};
BITSMITH_EVENT_FIELDS(StageStarted)
{
    v("stage", e.stage, any_value(), "");
    v("detail", e.detail, any_value(), "");
}

struct StageFinished
{
    Stage stage = Stage::Load;
    double seconds = 0;
};
BITSMITH_EVENT_FIELDS(StageFinished)
{
    v("stage", e.stage, any_value(), "");
    v("seconds", e.seconds, any_value(), "");
}

/// Progress inside a stage that has no events of its own (calibration text, export bytes,
/// evaluation tokens).
struct StageProgress
{
    Stage stage = Stage::Load;
    int64_t done = 0;
    int64_t total = 0;
    std::string unit; ///< "samples", "tensors", "tokens"
};
BITSMITH_EVENT_FIELDS(StageProgress)
{
    v("stage", e.stage, any_value(), "");
    v("done", e.done, any_value(), "");
    v("total", e.total, any_value(), "");
    v("unit", e.unit, any_value(), "");
}

/// What calibration found: "128 asked, 97 usable".
struct CalibrationReady
{
    int64_t asked = 0;
    int64_t samples = 0; ///< used for tuning
    int64_t holdout = 0; ///< kept out of tuning
    int64_t seqlen = 0;
    int64_t tokens = 0;
    std::string origin;
};
BITSMITH_EVENT_FIELDS(CalibrationReady)
{
    v("asked", e.asked, any_value(), "");
    v("samples", e.samples, any_value(), "");
    v("holdout", e.holdout, any_value(), "");
    v("seqlen", e.seqlen, any_value(), "");
    v("tokens", e.tokens, any_value(), "");
    v("origin", e.origin, any_value(), "");
}

struct PlanReady
{
    Plan plan;
    double average_bits = 0;
};
BITSMITH_EVENT_FIELDS(PlanReady)
{
    v("plan", e.plan, any_value(), "");
    v("average_bits", e.average_bits, any_value(), "");
}

struct BlockStarted
{
    int64_t block = 0;
    int64_t layers = 0; ///< layers being quantized
    int64_t iters = 0;
};
BITSMITH_EVENT_FIELDS(BlockStarted)
{
    v("block", e.block, any_value(), "");
    v("layers", e.layers, any_value(), "");
    v("iters", e.iters, any_value(), "");
}

struct IterationDone
{
    int64_t block = 0;
    int64_t iteration = 0; ///< from 0
    double loss = 0; ///< mean squared error of the mini-batch, before the step
    double best_loss = 0;
    double lr = 0;
};
BITSMITH_EVENT_FIELDS(IterationDone)
{
    v("block", e.block, any_value(), "");
    v("iteration", e.iteration, any_value(), "");
    v("loss", e.loss, any_value(), "");
    v("best_loss", e.best_loss, any_value(), "");
    v("lr", e.lr, any_value(), "");
}

/// A layer got its final codes.
struct LayerFinished
{
    int64_t block = -1;
    std::string layer;
    std::string scheme; ///< name
    double bits = 0; ///< effective bits per weight
    double mse = 0; ///< of the weights: mean((W - Ŵ)²)
    double cosine = 0; ///< of the weights
    double sqnr_db = 0; ///< 10 log10(ΣW² / Σ(W - Ŵ)²)
    std::optional<double> out_mse; ///< of the layer's output on calibration inputs
    std::optional<double> out_sqnr_db;
    std::string deviation; ///< how tuning differed from what was asked; empty: in nothing
};
BITSMITH_EVENT_FIELDS(LayerFinished)
{
    v("block", e.block, any_value(), "");
    v("layer", e.layer, any_value(), "");
    v("scheme", e.scheme, any_value(), "");
    v("bits", e.bits, any_value(), "");
    v("mse", e.mse, any_value(), "");
    v("cosine", e.cosine, any_value(), "");
    v("sqnr_db", e.sqnr_db, any_value(), "");
    v("out_mse", e.out_mse, any_value(), "");
    v("out_sqnr_db", e.out_sqnr_db, any_value(), "");
    v("deviation", e.deviation, any_value(), "");
}

/// Result of one block. Losses are mean squared errors of the block's output on the samples of the
/// first step, against the original block on original inputs, and comparable with each other.
struct BlockFinished
{
    int64_t block = 0;
    double loss_rtn = 0; ///< plain rounding
    double loss_start = 0; ///< before the first step
    double loss = 0; ///< of what was kept
    int64_t iterations = 0;
    int64_t best_iteration = 0;
    double seconds = 0;
    bool resumed = false; ///< taken from the run folder instead of computed
};
BITSMITH_EVENT_FIELDS(BlockFinished)
{
    v("block", e.block, any_value(), "");
    v("loss_rtn", e.loss_rtn, any_value(), "");
    v("loss_start", e.loss_start, any_value(), "");
    v("loss", e.loss, any_value(), "");
    v("iterations", e.iterations, any_value(), "");
    v("best_iteration", e.best_iteration, any_value(), "");
    v("seconds", e.seconds, any_value(), "");
    v("resumed", e.resumed, any_value(), "");
}

struct ExportFinished
{
    std::string format;
    std::string path;
    int64_t bytes = 0;
    bool verified = false;

    bool operator==(const ExportFinished&) const = default;
};
BITSMITH_EVENT_FIELDS(ExportFinished)
{
    v("format", e.format, any_value(), "");
    v("path", e.path, any_value(), "");
    v("bytes", e.bytes, any_value(), "");
    v("verified", e.verified, any_value(), "");
}

/// One measure, for example "kld_mean". `reference` is the original model's value where that makes
/// sense.
struct MetricReady
{
    std::string task; ///< text or task measured
    std::string metric;
    double value = 0;
    std::optional<double> reference;
};
BITSMITH_EVENT_FIELDS(MetricReady)
{
    v("task", e.task, any_value(), "");
    v("metric", e.metric, any_value(), "");
    v("value", e.value, any_value(), "");
    v("reference", e.reference, any_value(), "");
}

struct MemorySample
{
    int64_t rss_bytes = 0;
    int64_t peak_rss_bytes = 0;
    int64_t device_bytes = 0;
    int64_t peak_device_bytes = 0;
};
BITSMITH_EVENT_FIELDS(MemorySample)
{
    v("rss_bytes", e.rss_bytes, any_value(), "");
    v("peak_rss_bytes", e.peak_rss_bytes, any_value(), "");
    v("device_bytes", e.device_bytes, any_value(), "");
    v("peak_device_bytes", e.peak_device_bytes, any_value(), "");
}

/// Something that changes the result or deserves attention; ends up in the report.
struct Warning
{
    std::string id;
    std::string text;
};
BITSMITH_EVENT_FIELDS(Warning)
{
    v("id", e.id, any_value(), "");
    v("text", e.text, any_value(), "");
}

struct LogLine
{
    std::string area;
    std::string text;
};
BITSMITH_EVENT_FIELDS(LogLine)
{
    v("area", e.area, any_value(), "");
    v("text", e.text, any_value(), "");
}

struct JobPaused
{ };
BITSMITH_EVENT_FIELDS(JobPaused)
{ }

struct JobResumed
{ };
BITSMITH_EVENT_FIELDS(JobResumed)
{ }

/// Text of a generation, as it is produced.
struct TextProduced
{
    std::string text;
};
BITSMITH_EVENT_FIELDS(TextProduced)
{
    v("text", e.text, any_value(), "");
}

enum class JobState
{
    Running,
    Done,
    Failed,
    Cancelled,
    Interrupted
};
template <>
struct EnumNames<JobState>
{
    static constexpr std::array<std::string_view, 5> names = {
        "running", "done", "failed", "cancelled", "interrupted"};
};

struct JobFinished
{
    JobState state = JobState::Done;
    std::string error_code; ///< word of ErrorCode when failed
    std::string message; ///< whole text when failed
    double seconds = 0;
};
BITSMITH_EVENT_FIELDS(JobFinished)
{
    v("state", e.state, any_value(), "");
    v("error_code", e.error_code, any_value(), "");
    v("message", e.message, any_value(), "");
    v("seconds", e.seconds, any_value(), "");
}

#undef BITSMITH_EVENT_FIELDS

using EventBody = std::variant<JobStarted, StageStarted, StageFinished, StageProgress,
    CalibrationReady, PlanReady, BlockStarted, IterationDone, LayerFinished, BlockFinished,
    ExportFinished, MetricReady, MemorySample, Warning, LogLine, JobPaused, JobResumed,
    TextProduced, JobFinished>;

/// JSON word of each alternative of EventBody, in its order.
inline constexpr std::array<std::string_view, std::variant_size_v<EventBody>> kEventKinds = {
    "job_started", "stage_started", "stage_finished", "stage_progress", "calibration_ready",
    "plan_ready", "block_started", "iteration_done", "layer_finished", "block_finished",
    "export_finished", "metric_ready", "memory_sample", "warning", "log_line", "job_paused",
    "job_resumed", "text_produced", "job_finished"};

struct Event
{
    int64_t sequence = 0; ///< from 0 in each start of a run, without gaps; 0 for later exports
    int64_t time_ms = 0; ///< since the Unix epoch
    EventBody body;

    std::string_view kind() const { return kEventKinds[body.index()]; }
    template <class T>
    const T* get_if() const
    {
        return std::get_if<T>(&body);
    }
};

} // namespace bitsmith
