// SPDX-License-Identifier: GPL-3.0-or-later
// The current picture of a run, folded from its events: plain values, no Qt object. The same events
// give the same picture whether they arrive live, from a journal or from a recording.
#pragma once

#include <bitsmith/event.h>

#include <QString>

#include <array>
#include <optional>
#include <unordered_map>
#include <vector>

namespace bitsmith::ui {

enum class RunPhase
{
    Empty, ///< no event yet
    Running,
    Paused,
    Done,
    Failed,
    Cancelled,
    Interrupted ///< the events end without a final one and nobody writes them any more
};

enum class PartState
{
    Waiting,
    Active,
    Done,
    Skipped
};

struct StagePicture
{
    PartState state = PartState::Waiting;
    QString detail;
    QString unit;
    int64_t done = 0;
    int64_t total = 0; ///< 0: not known
    double seconds = 0;
};

/// Loss of every step of one block. Steps ascend.
struct StepSeries
{
    std::vector<double> steps;
    std::vector<double> losses;
    int lowest = -1; ///< index of the smallest loss, -1 when there is none
};

struct BlockPicture
{
    PartState state = PartState::Waiting;
    int64_t layers = 0;
    int64_t iters = 0;
    StepSeries series;
    std::optional<BlockFinished> result;
};

struct LayerPicture
{
    QString name;
    QString module; ///< name inside the block, numbers of experts folded to "*"
    int block = -1; ///< -1 outside the blocks
    int64_t rows = 0;
    int64_t columns = 0;
    QString scheme; ///< name, or "keep"
    double bits = 16; ///< effective, scales included
    QString reason;
    std::optional<LayerFinished> result;
};

struct LogRecord
{
    int64_t timeMs = 0;
    bool warning = false;
    QString area; ///< area of a log line, id of a warning
    QString text;
};

/// First and last index that changed; empty when last < first.
struct IndexRange
{
    int first = 0;
    int last = -1;

    bool isEmpty() const { return last < first; }
    void add(int index);
};

/// What a batch of events changed.
struct RunChanges
{
    bool header = false; ///< job names, phase, result
    bool stages = false;
    bool plan = false; ///< the list of layers itself
    bool metrics = false; ///< measures and exports
    bool memory = false;
    bool log = false;
    IndexRange blocks; ///< state or result
    IndexRange steps; ///< blocks with new step losses
    IndexRange layers;
};

struct RunPicture
{
    static constexpr int kStages = static_cast<int>(EnumNames<Stage>::names.size());

    RunPhase phase = RunPhase::Empty;
    JobStarted job;
    std::optional<JobFinished> finish;
    std::array<StagePicture, kStages> stages;
    std::optional<CalibrationReady> calibration;
    std::vector<BlockPicture> blocks;
    std::vector<LayerPicture> layers;
    std::optional<double> averageBits;
    std::vector<MetricReady> metrics;
    std::vector<ExportFinished> exports;
    std::optional<MemorySample> memory;
    std::vector<LogRecord> log;
    int64_t droppedLog = 0; ///< records that fell out of the ring at the front
    int64_t warnings = 0;
    int64_t startedMs = 0; ///< of the latest start
    int64_t lastMs = 0; ///< of the latest event
    int activeBlock = -1; ///< being tuned; -1 when none

    /// Adds one event and notes what it changed.
    void fold(const Event& event, RunChanges& changes);
    /// The feed ended without a final event.
    void endOfFeed(JobState state);

    int blocksDone() const;
    double elapsedSeconds() const;
    /// Share of the whole job that is done, 0 to 1; never smaller than before within one start.
    double progress() const;
    /// Loss of the finished blocks relative to plain rounding, geometric mean; 0.6 means 40 % less.
    std::optional<double> lossAgainstRounding() const;
    const MetricReady* metric(std::string_view name) const;

private:
    void apply(const JobStarted& e, RunChanges& c);
    void apply(const StageStarted& e, RunChanges& c);
    void apply(const StageFinished& e, RunChanges& c);
    void apply(const StageProgress& e, RunChanges& c);
    void apply(const CalibrationReady& e, RunChanges& c);
    void apply(const PlanReady& e, RunChanges& c);
    void apply(const BlockStarted& e, RunChanges& c);
    void apply(const IterationDone& e, RunChanges& c);
    void apply(const LayerFinished& e, RunChanges& c);
    void apply(const BlockFinished& e, RunChanges& c);
    void apply(const ExportFinished& e, RunChanges& c);
    void apply(const MetricReady& e, RunChanges& c);
    void apply(const MemorySample& e, RunChanges& c);
    void apply(const Warning& e, RunChanges& c);
    void apply(const LogLine& e, RunChanges& c);
    void apply(const JobPaused& e, RunChanges& c);
    void apply(const JobResumed& e, RunChanges& c);
    void apply(const TextProduced& e, RunChanges& c);
    void apply(const JobFinished& e, RunChanges& c);

    BlockPicture* blockAt(int64_t index);
    void addLog(LogRecord record, RunChanges& c);

    std::unordered_map<std::string, int> m_layerIndex;
};

/// "mlp.experts.*.up_proj" from "model.layers.3.mlp.experts.7.up_proj".
QString moduleName(const std::string& layer, int block);

} // namespace bitsmith::ui
