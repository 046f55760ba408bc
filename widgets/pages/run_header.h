// SPDX-License-Identifier: GPL-3.0-or-later
// Top of the Run page: what runs, how far it is, how long it takes, and the buttons that steer it.
#pragma once

#include "widgets/controls/card.h"
#include "widgets/state/time_estimate.h"

#include <bitsmith/control.h>

class QProgressBar;
class QPushButton;
class QToolButton;

namespace bitsmith::ui {

class RunState;
class StageStepper;
class StatTile;
class StateChip;

/// What the job's controller is doing with the run on screen.
enum class RunControlState
{
    Idle, ///< no job of this program: the run was opened from its folder
    Active,
    Pausing, ///< asked, not there yet
    Cancelling
};

class RunHeader : public Card
{
    Q_OBJECT

public:
    explicit RunHeader(RunState* state, QWidget* parent = nullptr);

    void setControlState(RunControlState control);

Q_SIGNALS:
    void pauseRequested(bitsmith::PauseKind kind);
    void resumeRequested(); ///< continue a paused job, or a run that stopped
    void cancelRequested();
    void exportRequested(); ///< only for a finished run

private:
    void buildButtons(QHBoxLayout* row);
    QHBoxLayout* buildTiles();
    void refreshAll();
    void refreshHeader();
    void refreshProgress();
    void refreshTimes();
    void refreshMemory();
    void refreshButtons();

    RunState* m_state;
    RunControlState m_control = RunControlState::Idle;
    SteadyRange m_remaining;
    double m_shownProgress = 0;
    StateChip* m_chip;
    QLabel* m_title;
    QLabel* m_subtitle;
    QLabel* m_activity;
    StageStepper* m_stepper;
    QProgressBar* m_bar;
    QToolButton* m_pause;
    QPushButton* m_resume;
    QPushButton* m_cancel;
    QPushButton* m_export;
    StatTile* m_progressTile;
    StatTile* m_elapsedTile;
    StatTile* m_remainingTile;
    StatTile* m_memoryTile;
    StatTile* m_gainTile;
};

} // namespace bitsmith::ui
