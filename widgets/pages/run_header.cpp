// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/run_header.h"

#include "widgets/controls/stage_stepper.h"
#include "widgets/controls/stat_tile.h"
#include "widgets/controls/state_chip.h"
#include "widgets/state/run_state.h"
#include "widgets/text/error_text.h"
#include "widgets/text/format_text.h"
#include "widgets/text/run_text.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QMenu>
#include <QProgressBar>
#include <QPushButton>
#include <QToolButton>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

constexpr int kBarSteps = 1000;

bool mayContinue(RunPhase phase)
{
    return phase == RunPhase::Failed || phase == RunPhase::Cancelled
        || phase == RunPhase::Interrupted;
}

} // namespace

RunHeader::RunHeader(RunState* state, QWidget* parent)
    : Card({}, parent)
    , m_state(state)
    , m_chip(new StateChip)
    , m_title(titleLabel())
    , m_subtitle(mutedLabel({}))
    , m_activity(mutedLabel({}))
    , m_stepper(new StageStepper)
    , m_bar(new QProgressBar)
    , m_pause(new QToolButton)
    , m_resume(new QPushButton(themedIcon(Icon::Play), tr("Resume")))
    , m_cancel(new QPushButton(themedIcon(Icon::Stop), tr("Cancel")))
    , m_export(new QPushButton(tr("Export…")))
    , m_progressTile(new StatTile(u"progressTile"_s, tr("Progress")))
    , m_elapsedTile(new StatTile(u"elapsedTile"_s, tr("Elapsed")))
    , m_remainingTile(new StatTile(u"remainingTile"_s, tr("Tuning left")))
    , m_memoryTile(new StatTile(u"memoryTile"_s, tr("Memory")))
    , m_gainTile(new StatTile(u"gainTile"_s, tr("Loss against plain rounding")))
{
    setObjectName(u"runHeader"_s);
    m_title->setFont(scaledFont(1.5, QFont::DemiBold));
    m_title->setTextFormat(Qt::PlainText);
    m_subtitle->setWordWrap(false);
    m_activity->setTextFormat(Qt::PlainText);
    m_activity->setObjectName(u"activityLabel"_s);
    m_activity->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
    m_activity->setWordWrap(false);
    m_activity->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
    m_bar->setObjectName(u"progressBar"_s);
    m_bar->setRange(0, kBarSteps);
    m_bar->setTextVisible(false);
    m_bar->setAccessibleName(tr("Progress of the whole job"));
    header()->insertWidget(1, m_chip);
    header()->insertSpacing(1, 8);
    buildButtons(header());
    auto* stages = new QHBoxLayout;
    stages->addWidget(m_stepper);
    stages->addSpacing(16);
    stages->addWidget(m_activity, 1);
    body()->addWidget(m_subtitle);
    body()->addLayout(stages);
    body()->addWidget(m_bar);
    body()->addLayout(buildTiles());
    body()->setSpacing(9);
    connect(state, &RunState::cleared, this, &RunHeader::refreshAll);
    connect(state, &RunState::headerChanged, this, &RunHeader::refreshAll);
    connect(state, &RunState::stagesChanged, this, &RunHeader::refreshProgress);
    connect(state, &RunState::blocksChanged, this, &RunHeader::refreshProgress);
    connect(state, &RunState::stepsChanged, this, &RunHeader::refreshProgress);
    connect(state, &RunState::memoryChanged, this, &RunHeader::refreshMemory);
    refreshAll();
}

void RunHeader::buildButtons(QHBoxLayout* row)
{
    m_pause->setObjectName(u"pauseButton"_s);
    m_pause->setProperty("button", true);
    m_pause->setIcon(themedIcon(Icon::Pause));
    m_pause->setText(tr("Pause"));
    m_pause->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    m_pause->setPopupMode(QToolButton::MenuButtonPopup);
    m_pause->setFocusPolicy(Qt::StrongFocus);
    auto* menu = new QMenu(m_pause);
    menu->setObjectName(u"pauseMenu"_s);
    QAction* now = menu->addAction(tr("Pause now"));
    now->setObjectName(u"pauseNowAction"_s);
    QAction* later = menu->addAction(tr("Pause after this block"));
    later->setObjectName(u"pauseAfterBlockAction"_s);
    m_pause->setMenu(menu);
    connect(
        m_pause, &QToolButton::clicked, this, [this] { Q_EMIT pauseRequested(PauseKind::Now); });
    connect(now, &QAction::triggered, this, [this] { Q_EMIT pauseRequested(PauseKind::Now); });
    connect(
        later, &QAction::triggered, this, [this] { Q_EMIT pauseRequested(PauseKind::AfterBlock); });
    m_resume->setObjectName(u"resumeButton"_s);
    m_resume->setProperty("primary", true);
    m_resume->setIcon(coloredIcon(Icon::Play, Qt::white));
    connect(m_resume, &QPushButton::clicked, this, &RunHeader::resumeRequested);
    m_cancel->setObjectName(u"cancelButton"_s);
    m_cancel->setToolTip(tr("Stops the job; finished blocks are kept and can be resumed"));
    connect(m_cancel, &QPushButton::clicked, this, &RunHeader::cancelRequested);
    m_export->setObjectName(u"exportButton"_s);
    m_export->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_E));
    m_export->setToolTip(tr("Writes the finished run in one or more formats"));
    connect(m_export, &QPushButton::clicked, this, &RunHeader::exportRequested);
    row->addWidget(m_resume);
    row->addWidget(m_pause);
    row->addWidget(m_cancel);
    row->addWidget(m_export);
}

QHBoxLayout* RunHeader::buildTiles()
{
    auto* tiles = new QHBoxLayout;
    tiles->setSpacing(28);
    for (StatTile* tile :
        {m_progressTile, m_elapsedTile, m_remainingTile, m_memoryTile, m_gainTile}) {
        tiles->addWidget(tile);
    }
    tiles->addStretch(1);
    m_gainTile->setToolTip(tr("Output error of the finished blocks compared with rounding without "
                              "tuning, geometric mean"));
    return tiles;
}

void RunHeader::setControlState(RunControlState control)
{
    m_control = control;
    refreshHeader();
    refreshButtons();
}

void RunHeader::refreshAll()
{
    refreshHeader();
    refreshProgress();
    refreshMemory();
    refreshButtons();
}

void RunHeader::refreshHeader()
{
    const RunPicture& run = m_state->picture();
    const QString model = toQString(run.job.model);
    m_title->setText(model.isEmpty() ? tr("Preparing the job") : shortModelName(model));
    m_title->setToolTip(model);
    StateLook look = lookOf(run.phase);
    if (m_control == RunControlState::Cancelling) {
        look = {tr("Cancelling"), Icon::Stop, ColorRole::Caution};
    } else if (m_control == RunControlState::Pausing && run.phase == RunPhase::Running) {
        look = {tr("Pausing"), Icon::Pause, ColorRole::Caution};
    }
    m_chip->setLook(look);
    QString line = jobLine(toQString(run.job.scheme),
        run.job.recipe.empty() ? QString() : tr("recipe %1").arg(toQString(run.job.recipe)),
        toQString(run.job.device));
    if (run.calibration) {
        line = jobLine(line,
            tr("%1 samples × %2 tokens").arg(run.calibration->samples).arg(run.calibration->seqlen),
            {});
    }
    if (run.finish && run.finish->state == JobState::Failed) {
        const ErrorCode code = error_code_from(run.finish->error_code);
        line = tr("%1. %2").arg(errorTitle(code), errorAdvice(code));
        m_subtitle->setToolTip(toQString(run.finish->message));
    }
    m_subtitle->setText(line);
}

void RunHeader::refreshProgress()
{
    const RunPicture& run = m_state->picture();
    m_stepper->setStages(run.stages);
    const double progress = run.progress();
    // A fresh start begins at zero again; within one start the bar never moves back.
    const bool restarted = run.phase == RunPhase::Empty || run.blocksDone() == 0;
    m_shownProgress = restarted ? progress : std::max(m_shownProgress, progress);
    m_bar->setValue(static_cast<int>(m_shownProgress * kBarSteps));
    m_progressTile->setValue(formatPercent(m_shownProgress, 0),
        tr("%1 of %2 blocks").arg(run.blocksDone()).arg(run.blocks.size()));
    m_activity->setText(activityText(run));
    m_activity->setToolTip(m_activity->text());
    if (const auto ratio = run.lossAgainstRounding()) {
        m_gainTile->setValue(formatChange(*ratio - 1), tr("%n blocks", nullptr, run.blocksDone()));
    } else {
        m_gainTile->setValue(unknownValue());
    }
    refreshTimes();
}

void RunHeader::refreshTimes()
{
    const RunPicture& run = m_state->picture();
    m_elapsedTile->setValue(
        run.phase == RunPhase::Empty ? unknownValue() : formatDuration(run.elapsedSeconds()));
    const auto range = m_remaining.update(remainingTime(run), run.lastMs);
    if (range) {
        m_remainingTile->setValue(formatDurationRange(range->low, range->high));
    } else if (run.phase == RunPhase::Running
        && run.stages[static_cast<std::size_t>(Stage::Tune)].state == PartState::Active) {
        m_remainingTile->setValue(tr("estimating"), tr("after two blocks"));
    } else {
        m_remainingTile->setValue(unknownValue());
    }
}

void RunHeader::refreshMemory()
{
    const auto& memory = m_state->picture().memory;
    if (!memory) {
        m_memoryTile->setValue(unknownValue());
        return;
    }
    QString note = tr("peak %1").arg(formatBytes(memory->peak_rss_bytes));
    if (memory->peak_device_bytes > 0) {
        note = tr("device %1, peak %2")
                   .arg(formatBytes(memory->device_bytes), formatBytes(memory->peak_device_bytes));
    }
    m_memoryTile->setValue(formatBytes(memory->rss_bytes), note);
}

void RunHeader::refreshButtons()
{
    const RunPhase phase = m_state->picture().phase;
    const bool active = m_control != RunControlState::Idle;
    const bool paused = phase == RunPhase::Paused || m_control == RunControlState::Pausing;
    m_pause->setVisible(active && !paused);
    m_pause->setEnabled(m_control == RunControlState::Active);
    m_cancel->setVisible(active);
    m_cancel->setEnabled(m_control != RunControlState::Cancelling);
    m_resume->setVisible((active && paused && m_control != RunControlState::Cancelling)
        || (!active && mayContinue(phase)));
    m_export->setVisible(!active && phase == RunPhase::Done);
}

} // namespace bitsmith::ui
