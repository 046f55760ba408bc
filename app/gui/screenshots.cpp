// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/screenshots.h"

#include "app/gui/main_window.h"
#include "app/gui/services/export_thread.h"
#include "widgets/controls/loss_panel.h"
#include "widgets/models/run_list_model.h"
#include "widgets/pages/export_dialog.h"
#include "widgets/pages/new_job_page.h"
#include "widgets/pages/run_page.h"
#include "widgets/state/job_draft.h"
#include "widgets/state/run_state.h"
#include "widgets/text/format_text.h"

#include <bitsmith/catalog.h>

#include <QApplication>
#include <QCheckBox>
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
/// Free space in the picture of the export dialog.
constexpr qint64 kFreeBytes = 310'000'000'000;

void settle()
{
    QElapsedTimer timer;
    timer.start();
    while (timer.elapsed() < kSettleMs) {
        QApplication::processEvents(QEventLoop::AllEvents, 20);
    }
}

/// First event of kind T; the recording of a finished run has every kind that is asked for here.
template <class T>
const T& firstOf(const std::vector<Event>& recording)
{
    for (const Event& event : recording) {
        if (const auto* body = event.get_if<T>()) {
            return *body;
        }
    }
    fail(ErrorCode::FileCorrupt, "the recorded run lacks an event",
        {{"kind", std::string(kEventKinds[EventBody(T()).index()])}});
}

/// What the plan of the recording says about its model; enough for the form's facts and checks.
ModelInfo modelFromPlan(const std::vector<Event>& recording)
{
    const JobStarted& job = firstOf<JobStarted>(recording);
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
    for (const PlannedLayer& layer : firstOf<PlanReady>(recording).plan.layers) {
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
    const JobStarted& job = firstOf<JobStarted>(recording);
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
    const int64_t block = firstOf<JobStarted>(recording).blocks * 3 / 5;
    const int64_t step = firstOf<JobStarted>(recording).iters * 2 / 3;
    for (std::size_t i = 0; i < recording.size(); ++i) {
        const auto* done = recording[i].get_if<IterationDone>();
        if (done != nullptr && done->block == block && done->iteration >= step) {
            return i + 1;
        }
    }
    return recording.size() / 2;
}

/// What the recorded run can be exported to, by the rules of the format catalogue.
std::vector<ExportOffer> offersFor(const std::vector<Event>& recording)
{
    const auto& layers = firstOf<PlanReady>(recording).plan.layers;
    double weights = 0;
    double bits = 0;
    for (const PlannedLayer& layer : layers) {
        const auto size = static_cast<double>(layer.rows * layer.columns);
        weights += size;
        bits += size * effective_bits(layer.scheme, layer.columns);
    }
    std::vector<ExportOffer> offers;
    for (const FormatInfo& format : format_catalog()) {
        const double stored = format.id == "fake" ? 16 * weights : bits;
        ExportOffer offer{format.id, format.title, false, {}, static_cast<int64_t>(stored / 8),
            stored / weights, format.runtimes};
        for (const PlannedLayer& layer : layers) {
            if (offer.why_not.empty() && layer.scheme.is_quantized()) {
                offer.why_not = format_refusal(format.id, layer.scheme);
            }
        }
        offer.fits = offer.why_not.empty();
        offers.push_back(std::move(offer));
    }
    std::stable_partition(
        offers.begin(), offers.end(), [](const ExportOffer& offer) { return offer.fits; });
    return offers;
}

/// Recordings say nothing of the tokenizer: the picture shows a usual one.
ExportFacts factsOf(const JobStarted& job)
{
    ExportFacts facts{{}, "BPE", true};
    facts.details.model_name = ui::shortModelName(ui::toQString(job.model)).toStdString();
    return facts;
}

/// How the first export of the recorded run ended.
ui::ExportOutcome outcomeOf(const std::vector<Event>& recording)
{
    const ExportFinished& written = firstOf<ExportFinished>(recording);
    ui::ExportOutcome outcome;
    outcome.order = {written.format, written.path};
    outcome.path = ui::toQString(written.path);
    outcome.bytes = written.bytes;
    outcome.serveTexts = serve_texts(written.format, written.path);
    outcome.uploadCommand = ui::toQString(upload_command(written.path));
    return outcome;
}

class Photographer
{
public:
    Photographer(MainWindow& window, const QString& folder, const QString& suffix)
        : m_window(window)
        , m_folder(folder)
        , m_suffix(suffix)
    { }
    void take(const QString& name) { take(name, m_window); }
    void take(const QString& name, QWidget& widget)
    {
        settle();
        const QString file = QDir(m_folder).filePath(QString(name + u"-"_s + m_suffix + u".png"_s));
        if (!widget.grab().save(file)) {
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

void photographExport(MainWindow& window, Photographer& camera, const std::vector<Event>& recording)
{
    const JobStarted& job = firstOf<JobStarted>(recording);
    ExportThread worker;
    ui::ExportDialog dialog(
        {ui::toQString(job.run), ui::toQString(job.model), ui::toQString(job.scheme)}, &worker,
        &window);
    dialog.setFacts(factsOf(job));
    dialog.setOffers(offersFor(recording));
    dialog.setFreeSpace(dialog.folder(), kFreeBytes);
    const ui::ExportOutcome outcome = outcomeOf(recording);
    dialog.findChild<QCheckBox*>(QString(u"offer_"_s + ui::toQString(outcome.order.format)))
        ->setChecked(true);
    dialog.show();
    camera.take(u"export"_s, dialog);
    dialog.addOutcome(outcome);
    camera.take(u"export-done"_s, dialog);
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
    window.runList()->setRuns(sampleRuns(firstOf<JobStarted>(recording), nowMs));
    fillDraft(*window.draft(), recording);
    window.resize(kWidth, kHeight);
    window.show();
    for (const auto& [choice, suffix] : {std::pair(ui::ThemeChoice::Light, u"light"_s),
             std::pair(ui::ThemeChoice::Dark, u"dark"_s)}) {
        theme.setChoice(choice);
        Photographer camera(window, folder, suffix);
        photographAll(window, camera, recording);
        photographExport(window, camera, recording);
    }
}

} // namespace bitsmith::gui
