// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/main_window.h"

#include "app/gui/services/device_list.h"
#include "app/gui/services/export_thread.h"
#include "app/gui/services/model_inspection.h"
#include "widgets/controls/navigation_rail.h"
#include "widgets/models/run_list_model.h"
#include "widgets/pages/export_dialog.h"
#include "widgets/pages/home_page.h"
#include "widgets/pages/new_job_page.h"
#include "widgets/pages/run_page.h"
#include "widgets/state/job_draft.h"
#include "widgets/state/run_state.h"
#include "widgets/text/error_text.h"
#include "widgets/text/format_text.h"
#include "widgets/text/run_text.h"

#include <bitsmith/spec_json.h>

#include <QDateTime>
#include <QDesktopServices>
#include <QFileDialog>
#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QMessageBox>
#include <QSaveFile>
#include <QStackedWidget>
#include <QStatusBar>
#include <QUrl>

using namespace Qt::StringLiterals;

namespace bitsmith::gui {

namespace {

/// Narrower windows show the navigation as icons only.
constexpr int kCompactBelow = 1100;

/// Opens a folder or file with the program that the desktop has for it.
void openOnDesktop(const QString& path)
{
    QDesktopServices::openUrl(QUrl::fromLocalFile(path));
}

} // namespace

MainWindow::MainWindow(ui::Theme* theme, std::unique_ptr<Runner> runner)
    : m_theme(theme)
    , m_runState(new ui::RunState(this))
    , m_draft(new ui::JobDraft(this))
    , m_runs(new ui::RunListModel(this))
    , m_controller(new JobController(std::move(runner), this))
    , m_library(new RunLibrary(m_runs, this))
{
    setObjectName(u"mainWindow"_s);
    setWindowTitle(u"Bitsmith"_s);
    resize(1320, 880);
    buildPages();
    buildMenus();
    connectPages();
    connectController();
    restoreGeometry(m_settings.geometry());
    showPage(Home);
}

void MainWindow::buildPages()
{
    m_rail = new ui::NavigationRail;
    m_stack = new QStackedWidget;
    m_stack->setObjectName(u"pageStack"_s);
    m_homePage = new ui::HomePage(m_runs);
    m_newJobPage = new ui::NewJobPage(m_draft);
    m_runPage = new ui::RunPage(m_runState);
    m_stack->addWidget(m_homePage);
    m_stack->addWidget(m_newJobPage);
    m_stack->addWidget(m_runPage);
    m_rail->addPage(u"home"_s, ui::Icon::Home, tr("Home"));
    m_rail->addPage(u"newJob"_s, ui::Icon::NewJob, tr("New job"));
    m_rail->addPage(u"run"_s, ui::Icon::Run, tr("Run"));
    auto* content = new QWidget;
    auto* layout = new QHBoxLayout(content);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(m_rail);
    layout->addWidget(m_stack, 1);
    setCentralWidget(content);
    m_status = new QLabel(tr("No job is running"));
    m_status->setObjectName(u"runStatusLabel"_s);
    m_status->setContentsMargins(10, 2, 10, 2);
    statusBar()->addWidget(m_status, 1);
    statusBar()->setSizeGripEnabled(false);
    m_newJobPage->setRecentModels(m_settings.recentModels());
}

void MainWindow::connectPages()
{
    connect(m_rail, &ui::NavigationRail::pageRequested, this,
        [this](int page) { showPage(static_cast<Page>(page)); });
    connect(m_homePage, &ui::HomePage::demoRequested, this, &MainWindow::startDemo);
    connect(m_homePage, &ui::HomePage::newJobRequested, this, [this] { showPage(NewJob); });
    connect(m_homePage, &ui::HomePage::openRunRequested, this, &MainWindow::chooseRunFolder);
    connect(m_homePage, &ui::HomePage::runChosen, this, &MainWindow::openRunFolder);
    connect(m_homePage, &ui::HomePage::resumeRequested, this, &MainWindow::resumeRun);
    connect(m_homePage, &ui::HomePage::pathDropped, this, &MainWindow::openPath);
    connect(m_newJobPage, &ui::NewJobPage::startRequested, this,
        [this] { startJob(m_draft->spec(), false); });
    connect(m_newJobPage, &ui::NewJobPage::saveRequested, this, &MainWindow::saveJobFile);
    connect(m_newJobPage, &ui::NewJobPage::openJobRequested, this, &MainWindow::chooseJobFile);
    connect(m_runPage, &ui::RunPage::newJobRequested, this, [this] { showPage(NewJob); });
    connect(m_runPage, &ui::RunPage::openRunRequested, this, &MainWindow::chooseRunFolder);
    connect(m_runPage, &ui::RunPage::openPathRequested, this, openOnDesktop);
    connect(m_library, &RunLibrary::opened, this, &MainWindow::onRunOpened);
    connect(m_library, &RunLibrary::openFailed, this,
        [this](const QString& folder, const QString& message) {
            m_resumeWhenOpened = false;
            showFailure(tr("%1 cannot be opened as a run").arg(folder), message);
        });
}

void MainWindow::connectController()
{
    ui::RunHeader* header = m_runPage->header();
    connect(header, &ui::RunHeader::pauseRequested, m_controller, &JobController::pause);
    connect(header, &ui::RunHeader::resumeRequested, this, &MainWindow::onResumeRequested);
    connect(header, &ui::RunHeader::cancelRequested, this, &MainWindow::onCancelRequested);
    connect(header, &ui::RunHeader::exportRequested, this, &MainWindow::showExportDialog);
    connect(m_controller, &JobController::eventsArrived, m_runState, &ui::RunState::fold);
    connect(m_controller, &JobController::stateChanged, this, &MainWindow::onControllerChanged);
    connect(m_runState, &ui::RunState::headerChanged, this, &MainWindow::onControllerChanged);
    connect(m_runState, &ui::RunState::blocksChanged, this, &MainWindow::onControllerChanged);
    connect(m_controller, &JobController::finished, this, [this](const Outcome& outcome) {
        // A job that could not even begin has reported nothing that the page could show.
        if (outcome.state == JobState::Failed && !m_runState->picture().finish) {
            m_runState->endOfFeed(outcome.state);
            showFailure(ui::errorTitle(outcome.error_code), ui::toQString(outcome.message));
        }
        m_library->refresh();
    });
}

void MainWindow::startServices()
{
    new ModelInspection(m_draft, this);
    findDevices(this,
        [this](const std::vector<DeviceInfo>& devices) { m_newJobPage->setDevices(devices); });
    m_library->refresh();
}

void MainWindow::showPage(Page page)
{
    m_stack->setCurrentIndex(page);
    m_rail->setCurrent(page);
    m_stack->currentWidget()->setFocus();
}

void MainWindow::resizeEvent(QResizeEvent* event)
{
    QMainWindow::resizeEvent(event);
    m_rail->setCompact(width() < kCompactBelow);
}

void MainWindow::openPath(const QString& path)
{
    const QFileInfo info(path);
    if (info.isDir() && QFileInfo::exists(QString(path + u"/run.json"_s))) {
        openRunFolder(path);
    } else if (info.isFile() && path.endsWith(".json"_L1)) {
        openJobFile(path);
    } else {
        m_draft->edit([&path](JobSpec& spec) { spec.model.path = path.toStdString(); });
        showPage(NewJob);
    }
}

void MainWindow::openRunFolder(const QString& folder)
{
    if (m_controller->isActive()) {
        if (m_runState->folder() != folder) {
            showFailure(tr("A job is running"),
                tr("Its run stays on screen; another run can be opened when it has ended."));
        }
        showPage(Run);
        return;
    }
    m_library->open(folder);
}

void MainWindow::chooseRunFolder()
{
    const QString folder = QFileDialog::getExistingDirectory(
        this, tr("Open a run folder"), QString::fromStdString(default_runs_folder().string()));
    if (!folder.isEmpty()) {
        openRunFolder(folder);
    }
}

void MainWindow::resumeRun(const QString& folder)
{
    m_resumeWhenOpened = true;
    openRunFolder(folder);
}

void MainWindow::onRunOpened(const std::shared_ptr<const RunDocument>& document)
{
    if (m_controller->isActive()) {
        return;
    }
    m_shownSpec = document->spec;
    m_shownSpec.runtime.run_dir = document->summary.folder.string();
    m_runState->clear();
    m_runState->fold(document->events);
    m_runState->endOfFeed(document->summary.state);
    showPage(Run);
    if (std::exchange(m_resumeWhenOpened, false)) {
        onResumeRequested();
    }
}

void MainWindow::openJobFile(const QString& file)
{
    try {
        m_draft->setSpec(read_job_spec(file.toStdString()));
        showPage(NewJob);
    } catch (const Error& error) {
        showFailure(tr("%1 cannot be opened as a job").arg(file), ui::toQString(error.what()));
    }
}

void MainWindow::chooseJobFile()
{
    const QString file = QFileDialog::getOpenFileName(
        this, tr("Open a job"), {}, tr("Jobs (*.bitsmith.json *.json)"));
    if (!file.isEmpty()) {
        openJobFile(file);
    }
}

void MainWindow::saveJobFile()
{
    const QString file = QFileDialog::getSaveFileName(
        this, tr("Save the job"), u"job.bitsmith.json"_s, tr("Jobs (*.bitsmith.json)"));
    if (file.isEmpty()) {
        return;
    }
    QSaveFile output(file);
    const std::string text = to_json(m_draft->spec());
    const bool written = output.open(QIODevice::WriteOnly)
        && output.write(text.data(), static_cast<qint64>(text.size()))
            == static_cast<qint64>(text.size())
        && output.commit();
    if (!written) {
        showFailure(tr("The job could not be saved"), output.errorString());
    }
}

void MainWindow::startDemo()
{
    if (m_controller->isActive()) {
        showPage(Run);
        return;
    }
    try {
        startJob(demo_job(), false);
    } catch (const Error& error) {
        showFailure(tr("The demo could not be prepared"), ui::toQString(error.what()));
    }
}

void MainWindow::startJob(const JobSpec& spec, bool resume)
{
    if (m_controller->isActive()) {
        return;
    }
    m_shownSpec = spec;
    if (!resume) {
        m_runState->clear();
    }
    m_settings.addRecentModel(ui::toQString(spec.model.path));
    m_newJobPage->setRecentModels(m_settings.recentModels());
    m_controller->start(spec, resume);
    showPage(Run);
}

void MainWindow::onResumeRequested()
{
    if (m_controller->isActive()) {
        m_controller->resume();
        return;
    }
    const ui::RunPhase phase = m_runState->picture().phase;
    if (phase == ui::RunPhase::Failed || phase == ui::RunPhase::Cancelled
        || phase == ui::RunPhase::Interrupted) {
        m_shownSpec.runtime.run_dir = shownRun().toStdString();
        startJob(m_shownSpec, true);
    }
}

QString MainWindow::shownRun() const
{
    // The folder that the job made for itself is known from its first event.
    const std::string& asked = m_shownSpec.runtime.run_dir;
    return asked.empty() ? m_runState->folder() : ui::toQString(asked);
}

void MainWindow::showExportDialog()
{
    const JobStarted& job = m_runState->picture().job;
    auto* worker = new ExportThread;
    auto* dialog = new ui::ExportDialog(
        {shownRun(), ui::toQString(job.model), ui::toQString(job.scheme)}, worker, this);
    worker->setParent(dialog);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    connect(dialog, &ui::ExportDialog::openRequested, this, openOnDesktop);
    connect(dialog, &ui::ExportDialog::ownRunRequested, this, &MainWindow::prepareOwnRun);
    connect(worker, &ui::ExportWorker::finished, this, &MainWindow::showExport);
    dialog->load();
    dialog->open();
}

void MainWindow::showExport(const ui::ExportOutcome& outcome)
{
    if (outcome.state == JobState::Done) {
        const ExportFinished exported{outcome.order.format, outcome.path.toStdString(),
            outcome.bytes, outcome.findings.isEmpty()};
        m_runState->fold({{0, QDateTime::currentMSecsSinceEpoch(), exported}});
        m_library->refresh();
    }
}

void MainWindow::prepareOwnRun(const ExportOffer& offer)
{
    m_draft->setSpec(own_run(m_shownSpec, offer.format, offer.own_scheme));
    showPage(NewJob);
}

void MainWindow::onCancelRequested()
{
    const auto answer = QMessageBox::question(this, tr("Cancel the job?"),
        tr("Finished blocks are kept, and the run can be resumed later."),
        QMessageBox::Yes | QMessageBox::No, QMessageBox::No);
    if (answer == QMessageBox::Yes) {
        m_controller->cancel();
    }
}

void MainWindow::onControllerChanged()
{
    const JobController::State state = m_controller->state();
    m_runPage->header()->setControlState(static_cast<ui::RunControlState>(state));
    const bool active = m_controller->isActive();
    m_newJobPage->setBusy(active);
    const ui::RunPhase phase = m_runState->picture().phase;
    const bool stopped = phase == ui::RunPhase::Failed || phase == ui::RunPhase::Cancelled
        || phase == ui::RunPhase::Interrupted;
    m_pauseAction->setEnabled(state == JobController::State::Active);
    m_pauseAfterAction->setEnabled(state == JobController::State::Active);
    m_resumeAction->setEnabled(state == JobController::State::Pausing || (!active && stopped));
    m_cancelAction->setEnabled(active && state != JobController::State::Cancelling);
    const bool shown = active || phase != ui::RunPhase::Empty;
    m_status->setText(shown
            ? tr("%1: %2").arg(ui::lookOf(phase).text, ui::activityText(m_runState->picture()))
            : tr("No job is running"));
}

void MainWindow::showFailure(const QString& title, const QString& details)
{
    auto* box = new QMessageBox(QMessageBox::Warning, tr("Bitsmith"), title, QMessageBox::Ok, this);
    box->setObjectName(u"failureBox"_s);
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->setInformativeText(details);
    box->setTextFormat(Qt::PlainText);
    box->open();
}

} // namespace bitsmith::gui
