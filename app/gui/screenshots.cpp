// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/screenshots.h"

#include "app/gui/main_window.h"
#include "widgets/controls/loss_panel.h"
#include "widgets/models/run_list_model.h"
#include "widgets/pages/new_job_page.h"
#include "widgets/pages/run_page.h"
#include "widgets/state/job_draft.h"
#include "widgets/state/run_state.h"
#include "widgets/text/format_text.h"

#include <QApplication>
#include <QDir>
#include <QElapsedTimer>

#include <algorithm>

using namespace Qt::StringLiterals;

namespace bitsmith::gui {

namespace {

constexpr int kWidth = 1440;
constexpr int kHeight = 900;
/// Queued repaints of the plots and the map settle within this time.
constexpr int kSettleMs = 220;

void settle()
{
    QElapsedTimer timer;
    timer.start();
    while (timer.elapsed() < kSettleMs) {
        QApplication::processEvents(QEventLoop::AllEvents, 20);
    }
}

const JobStarted& jobOf(const std::vector<Event>& recording)
{
    for (const Event& event : recording) {
        if (const auto* job = event.get_if<JobStarted>()) {
            return *job;
        }
    }
    fail(ErrorCode::FileCorrupt, "the recorded run does not start a job");
}

const PlanReady& planOf(const std::vector<Event>& recording)
{
    for (const Event& event : recording) {
        if (const auto* plan = event.get_if<PlanReady>()) {
            return *plan;
        }
    }
    fail(ErrorCode::FileCorrupt, "the recorded run holds no plan");
}

/// What the plan of the recording says about its model; enough for the form's facts and checks.
ModelInfo modelFromPlan(const std::vector<Event>& recording)
{
    const JobStarted& job = jobOf(recording);
    ModelInfo model;
    model.path = job.model;
    model.kind = job.model.size() > 5 && job.model.substr(job.model.size() - 5) == ".gguf"
        ? "gguf"
        : "folder";
    model.family = "llama";
    model.architecture = "LlamaForCausalLM";
    model.blocks = job.blocks;
    model.tokenizer = "BPE";
    model.has_chat_template = true;
    model.max_length = 8192;
    for (const PlannedLayer& layer : planOf(recording).plan.layers) {
        LayerInfo info;
        info.name = layer.name;
        info.block_index = layer.block_index;
        info.rows = layer.rows;
        info.columns = layer.columns;
        info.dtype = "BF16";
        info.bytes = layer.rows * layer.columns * 2;
        info.quantizable = layer.block_index >= 0;
        info.unit = layer.name;
        model.parameters += layer.rows * layer.columns;
        model.bytes += info.bytes;
        model.hidden_size = std::max(model.hidden_size, layer.columns);
        model.layers.push_back(std::move(info));
    }
    return model;
}

/// The form as it stood before the recorded run.
void fillDraft(ui::JobDraft& draft, const std::vector<Event>& recording)
{
    const JobStarted& job = jobOf(recording);
    draft.edit([&job](JobSpec& spec) {
        spec.model.path = job.model;
        spec.scheme.scheme = job.scheme;
        spec.recipe.iters = job.iters;
        spec.recipe.nsamples = 64;
        spec.recipe.seqlen = 256;
        spec.scheme.overrides = {{"*mlp.down_proj", "W8A16G64"}};
        spec.evaluation.metrics = {"kld", "ppl"};
        spec.runtime.device = job.device;
    });
    draft.setModel(ui::toQString(job.model), std::make_shared<ModelInfo>(modelFromPlan(recording)));
}

/// Runs in every state, all of the recorded job.
std::vector<RunSummary> sampleRuns(const JobStarted& job, int64_t nowMs)
{
    const auto run = [&](const char* name, JobState state, int64_t minutes, int64_t done) {
        RunSummary summary;
        summary.folder = name;
        summary.name = name;
        summary.model = job.model;
        summary.scheme = job.scheme;
        summary.recipe = job.recipe;
        summary.state = state;
        summary.created_ms = nowMs - minutes * 60000;
        summary.blocks = job.blocks;
        summary.blocks_done = done;
        summary.bytes = state == JobState::Done ? 96400000 : 0;
        return summary;
    };
    return {run("run-4", JobState::Running, 2, job.blocks * 3 / 5),
        run("run-3", JobState::Done, 45, job.blocks),
        run("run-2", JobState::Interrupted, 60 * 5, job.blocks / 3),
        run("run-1", JobState::Cancelled, 60 * 26, job.blocks / 2)};
}

/// Index after which the recording is cut for the picture of a running job: in the middle of a
/// block, three fifths through.
std::size_t middleOf(const std::vector<Event>& recording)
{
    const int64_t block = jobOf(recording).blocks * 3 / 5;
    const int64_t step = jobOf(recording).iters * 2 / 3;
    for (std::size_t i = 0; i < recording.size(); ++i) {
        const auto* done = recording[i].get_if<IterationDone>();
        if (done != nullptr && done->block == block && done->iteration >= step) {
            return i + 1;
        }
    }
    return recording.size() / 2;
}

class Photographer
{
public:
    Photographer(MainWindow& window, const QString& folder, const QString& suffix)
        : m_window(window)
        , m_folder(folder)
        , m_suffix(suffix)
    { }
    void take(const QString& name)
    {
        settle();
        const QString file = QDir(m_folder).filePath(QString(name + u"-"_s + m_suffix + u".png"_s));
        if (!m_window.grab().save(file)) {
            fail(ErrorCode::WriteFailed, "picture could not be written",
                {{"file", file.toStdString()}}, "Check the folder and the free space");
        }
    }

private:
    MainWindow& m_window;
    QString m_folder;
    QString m_suffix;
};

void photographAll(MainWindow& window, Photographer& camera, const std::vector<Event>& recording)
{
    const auto cut = recording.begin() + static_cast<std::ptrdiff_t>(middleOf(recording));
    window.showPage(MainWindow::Home);
    camera.take(u"home"_s);
    window.showPage(MainWindow::NewJob);
    camera.take(u"new-job"_s);
    window.runState()->clear();
    window.showPage(MainWindow::Run);
    camera.take(u"run-empty"_s);
    window.runState()->fold({recording.begin(), cut});
    window.runPage()->header()->setControlState(ui::RunControlState::Active);
    window.runPage()->lossPanel()->setView(ui::LossPanel::Steps);
    camera.take(u"run-live"_s);
    window.runState()->fold({cut, recording.end()});
    window.runPage()->header()->setControlState(ui::RunControlState::Idle);
    window.runPage()->lossPanel()->setView(ui::LossPanel::Blocks);
    camera.take(u"run-done"_s);
}

} // namespace

void writeScreenshots(ui::Theme& theme, const std::vector<Event>& recording, const QString& folder)
{
    if (!QDir().mkpath(folder)) {
        fail(
            ErrorCode::WriteFailed, "folder could not be made", {{"folder", folder.toStdString()}});
    }
    const int64_t nowMs = recording.empty() ? 0 : recording.back().time_ms;
    MainWindow window(&theme, std::make_unique<ReplayRunner>(std::vector<Event>()));
    window.runList()->setNow(nowMs);
    window.runList()->setRuns(sampleRuns(jobOf(recording), nowMs));
    fillDraft(*window.draft(), recording);
    window.resize(kWidth, kHeight);
    window.show();
    for (const auto& [choice, suffix] : {std::pair(ui::ThemeChoice::Light, u"light"_s),
             std::pair(ui::ThemeChoice::Dark, u"dark"_s)}) {
        theme.setChoice(choice);
        Photographer camera(window, folder, suffix);
        photographAll(window, camera, recording);
    }
}

} // namespace bitsmith::gui
