// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/state/run_picture.h"

#include "widgets/text/format_text.h"

#include <QStringList>

#include <algorithm>
#include <cmath>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

constexpr std::size_t kLogLimit = 100000;
/// A block index from a file is believed up to here; beyond it the event is ignored.
constexpr int64_t kBlockLimit = 100000;

/// Share of the whole time that each stage usually takes; only the progress bar uses it.
constexpr std::array<double, RunPicture::kStages> kStageWeights = {2, 10, 1, 60, 10, 7, 10};

double stageShare(const StagePicture& stage)
{
    if (stage.state == PartState::Done || stage.state == PartState::Skipped) {
        return 1;
    }
    if (stage.state == PartState::Waiting || stage.total <= 0) {
        return 0;
    }
    return std::min(1.0, static_cast<double>(stage.done) / static_cast<double>(stage.total));
}

bool isNumber(const QString& part)
{
    return !part.isEmpty()
        && std::all_of(part.begin(), part.end(), [](QChar c) { return c.isDigit(); });
}

} // namespace

QString moduleName(const std::string& layer, int block)
{
    QStringList parts = toQString(layer).split(QLatin1Char('.'));
    if (block >= 0) {
        const qsizetype at = parts.indexOf(QString::number(block));
        if (at >= 0) {
            parts = parts.mid(at + 1);
        }
    }
    for (QString& part : parts) {
        if (isNumber(part)) {
            part = u"*"_s;
        }
    }
    return parts.join(QLatin1Char('.'));
}

void IndexRange::add(int index)
{
    if (isEmpty()) {
        first = last = index;
    } else {
        first = std::min(first, index);
        last = std::max(last, index);
    }
}

void RunPicture::fold(const Event& event, RunChanges& changes)
{
    lastMs = std::max(lastMs, event.time_ms);
    if (phase == RunPhase::Empty) {
        phase = RunPhase::Running;
        startedMs = event.time_ms;
        changes.header = true;
    }
    if (event.get_if<JobStarted>() != nullptr) {
        startedMs = event.time_ms;
    }
    std::visit([&](const auto& body) { apply(body, changes); }, event.body);
}

void RunPicture::endOfFeed(JobState state)
{
    if (finish.has_value()) {
        return;
    }
    switch (state) {
    case JobState::Running:
        break;
    case JobState::Done:
        phase = RunPhase::Done;
        break;
    case JobState::Failed:
        phase = RunPhase::Failed;
        break;
    case JobState::Cancelled:
        phase = RunPhase::Cancelled;
        break;
    case JobState::Interrupted:
        phase = RunPhase::Interrupted;
        break;
    }
}

int RunPicture::blocksDone() const
{
    return static_cast<int>(std::count_if(blocks.begin(), blocks.end(),
        [](const BlockPicture& block) { return block.state == PartState::Done; }));
}

double RunPicture::elapsedSeconds() const
{
    if (finish.has_value() && finish->seconds > 0) {
        return finish->seconds;
    }
    return static_cast<double>(std::max<int64_t>(0, lastMs - startedMs)) / 1000;
}

double RunPicture::progress() const
{
    if (phase == RunPhase::Done) {
        return 1;
    }
    double sum = 0;
    double done = 0;
    for (int i = 0; i < kStages; ++i) {
        double share = stageShare(stages[i]);
        if (i == static_cast<int>(Stage::Tune) && stages[i].state == PartState::Active
            && !blocks.empty()) {
            double finished = blocksDone();
            if (activeBlock >= 0 && blocks[activeBlock].iters > 0) {
                finished += std::min(1.0,
                    static_cast<double>(blocks[activeBlock].series.steps.size())
                        / static_cast<double>(blocks[activeBlock].iters));
            }
            share = finished / static_cast<double>(blocks.size());
        }
        sum += kStageWeights[i];
        done += kStageWeights[i] * share;
    }
    return std::min(0.995, done / sum);
}

std::optional<double> RunPicture::lossAgainstRounding() const
{
    double sum = 0;
    int count = 0;
    for (const BlockPicture& block : blocks) {
        if (block.result && block.result->loss > 0 && block.result->loss_rtn > 0) {
            sum += std::log(block.result->loss / block.result->loss_rtn);
            ++count;
        }
    }
    return count > 0 ? std::optional(std::exp(sum / count)) : std::nullopt;
}

const MetricReady* RunPicture::metric(std::string_view name) const
{
    // The latest value of a measure counts: a resumed run may evaluate again.
    for (auto it = metrics.rbegin(); it != metrics.rend(); ++it) {
        if (it->metric == name) {
            return &*it;
        }
    }
    return nullptr;
}

BlockPicture* RunPicture::blockAt(int64_t index)
{
    if (index < 0 || index >= kBlockLimit) {
        return nullptr;
    }
    if (index >= static_cast<int64_t>(blocks.size())) {
        blocks.resize(static_cast<std::size_t>(index) + 1);
    }
    return &blocks[static_cast<std::size_t>(index)];
}

void RunPicture::addLog(LogRecord record, RunChanges& c)
{
    record.timeMs = lastMs;
    if (log.size() >= kLogLimit) {
        const auto surplus = static_cast<std::ptrdiff_t>(kLogLimit / 10);
        log.erase(log.begin(), log.begin() + surplus);
        droppedLog += surplus;
    }
    log.push_back(std::move(record));
    c.log = true;
}

void RunPicture::apply(const JobStarted& e, RunChanges& c)
{
    job = e;
    finish.reset();
    phase = RunPhase::Running;
    stages = {};
    metrics.clear();
    activeBlock = -1;
    if (e.blocks > 0 && e.blocks < kBlockLimit) {
        blocks.resize(static_cast<std::size_t>(e.blocks));
    }
    // A later start of the same run repeats the blocks that were not finished.
    for (BlockPicture& block : blocks) {
        if (block.state != PartState::Done) {
            block = {};
        }
    }
    c.header = c.stages = c.metrics = true;
    if (!blocks.empty()) {
        c.blocks.add(0);
        c.blocks.add(static_cast<int>(blocks.size()) - 1);
    }
}

void RunPicture::apply(const StageStarted& e, RunChanges& c)
{
    const auto index = static_cast<std::size_t>(e.stage);
    for (std::size_t i = 0; i < index; ++i) {
        if (stages[i].state == PartState::Waiting) {
            stages[i].state = PartState::Skipped;
        }
    }
    stages[index] = {PartState::Active, toQString(e.detail), {}, 0, 0, 0};
    c.stages = true;
}

void RunPicture::apply(const StageFinished& e, RunChanges& c)
{
    StagePicture& stage = stages[static_cast<std::size_t>(e.stage)];
    stage.state = PartState::Done;
    stage.seconds = e.seconds;
    c.stages = true;
}

void RunPicture::apply(const StageProgress& e, RunChanges& c)
{
    StagePicture& stage = stages[static_cast<std::size_t>(e.stage)];
    stage.done = e.done;
    stage.total = e.total;
    stage.unit = toQString(e.unit);
    c.stages = true;
}

void RunPicture::apply(const CalibrationReady& e, RunChanges& c)
{
    calibration = e;
    c.header = true;
}

void RunPicture::apply(const PlanReady& e, RunChanges& c)
{
    averageBits = e.average_bits;
    std::vector<LayerPicture> planned;
    planned.reserve(e.plan.layers.size());
    std::unordered_map<std::string, int> index;
    for (const PlannedLayer& layer : e.plan.layers) {
        LayerPicture row;
        row.name = toQString(layer.name);
        row.block = static_cast<int>(layer.block_index);
        row.module = moduleName(layer.name, row.block);
        row.rows = layer.rows;
        row.columns = layer.columns;
        row.reason = toQString(layer.reason);
        if (layer.scheme.is_quantized()) {
            row.scheme = toQString(scheme_name(layer.scheme));
            row.bits = effective_bits(layer.scheme, layer.columns);
        } else {
            row.scheme = u"keep"_s;
        }
        // A second start plans again; what is already measured stays.
        if (const auto old = m_layerIndex.find(layer.name); old != m_layerIndex.end()) {
            row.result = layers[static_cast<std::size_t>(old->second)].result;
        }
        index.emplace(layer.name, static_cast<int>(planned.size()));
        planned.push_back(std::move(row));
    }
    layers = std::move(planned);
    m_layerIndex = std::move(index);
    c.plan = c.header = true;
}

void RunPicture::apply(const BlockStarted& e, RunChanges& c)
{
    BlockPicture* block = blockAt(e.block);
    if (block == nullptr) {
        return;
    }
    *block = {};
    block->state = PartState::Active;
    block->layers = e.layers;
    block->iters = e.iters;
    activeBlock = static_cast<int>(e.block);
    c.blocks.add(activeBlock);
    c.steps.add(activeBlock);
}

void RunPicture::apply(const IterationDone& e, RunChanges& c)
{
    BlockPicture* block = blockAt(e.block);
    if (block == nullptr) {
        return;
    }
    StepSeries& series = block->series;
    if (!series.steps.empty() && static_cast<double>(e.iteration) <= series.steps.back()) {
        series = {}; // the block was begun again
    }
    series.steps.push_back(static_cast<double>(e.iteration));
    series.losses.push_back(e.loss);
    const auto last = static_cast<int>(series.losses.size()) - 1;
    if (std::isfinite(e.loss)
        && (series.lowest < 0 || e.loss < series.losses[static_cast<std::size_t>(series.lowest)])) {
        series.lowest = last;
    }
    c.steps.add(static_cast<int>(e.block));
}

void RunPicture::apply(const LayerFinished& e, RunChanges& c)
{
    auto [it, added] = m_layerIndex.try_emplace(e.layer, static_cast<int>(layers.size()));
    if (added) {
        LayerPicture row;
        row.name = toQString(e.layer);
        row.block = static_cast<int>(e.block);
        row.module = moduleName(e.layer, row.block);
        layers.push_back(std::move(row));
        c.plan = true;
    }
    LayerPicture& layer = layers[static_cast<std::size_t>(it->second)];
    layer.scheme = toQString(e.scheme);
    layer.bits = e.bits;
    layer.result = e;
    c.layers.add(it->second);
}

void RunPicture::apply(const BlockFinished& e, RunChanges& c)
{
    BlockPicture* block = blockAt(e.block);
    if (block == nullptr) {
        return;
    }
    block->state = PartState::Done;
    block->result = e;
    if (activeBlock == e.block) {
        activeBlock = -1;
    }
    c.blocks.add(static_cast<int>(e.block));
    c.steps.add(static_cast<int>(e.block));
}

void RunPicture::apply(const ExportFinished& e, RunChanges& c)
{
    // A resumed run names its exports again, and one may have been written anew in the same place.
    std::erase_if(exports, [&e](const ExportFinished& earlier) { return earlier.path == e.path; });
    exports.push_back(e);
    c.metrics = true;
}

void RunPicture::apply(const MetricReady& e, RunChanges& c)
{
    metrics.push_back(e);
    c.metrics = true;
}

void RunPicture::apply(const MemorySample& e, RunChanges& c)
{
    memory = e;
    c.memory = true;
}

void RunPicture::apply(const Warning& e, RunChanges& c)
{
    ++warnings;
    addLog({0, true, toQString(e.id), toQString(e.text)}, c);
}

void RunPicture::apply(const LogLine& e, RunChanges& c)
{
    addLog({0, false, toQString(e.area), toQString(e.text)}, c);
}

void RunPicture::apply(const JobPaused&, RunChanges& c)
{
    phase = RunPhase::Paused;
    c.header = true;
}

void RunPicture::apply(const JobResumed&, RunChanges& c)
{
    phase = RunPhase::Running;
    c.header = true;
}

void RunPicture::apply(const TextProduced&, RunChanges&)
{
    // Text of a generation belongs to another page.
}

void RunPicture::apply(const JobFinished& e, RunChanges& c)
{
    finish = e;
    activeBlock = -1;
    phase = e.state == JobState::Done ? RunPhase::Done
        : e.state == JobState::Failed ? RunPhase::Failed
                                      : RunPhase::Cancelled;
    c.header = c.stages = true;
}

} // namespace bitsmith::ui
