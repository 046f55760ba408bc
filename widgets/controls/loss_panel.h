// SPDX-License-Identifier: GPL-3.0-or-later
// The live loss view: steps of one block, or all blocks, with a linear or logarithmic axis; and the
// divergence of the whole model once the touch-up measures it.
#pragma once

#include "widgets/controls/card.h"

class QPushButton;
class QStackedLayout;
class QTimer;

namespace bitsmith::ui {

class BlockLossPlot;
class RunState;
class SelectionHub;
class StepLossPlot;
class TouchUpPlot;

class LossPanel : public Card
{
    Q_OBJECT

public:
    enum View
    {
        Steps,
        Blocks,
        TouchUp
    };

    LossPanel(RunState* state, SelectionHub* selection, QWidget* parent = nullptr);

    void setView(View view);
    View view() const;

private:
    QPushButton* addSegment(const QString& text, const QString& name, View view);
    /// Repaints are collected: at most one per 50 ms.
    void refreshSoon();
    void refresh();
    void refreshTouchUp();
    int shownBlock() const;

    RunState* m_state;
    SelectionHub* m_selection;
    QStackedLayout* m_stack;
    StepLossPlot* m_steps;
    BlockLossPlot* m_blocks;
    TouchUpPlot* m_touchUp;
    QPushButton* m_stepsButton = nullptr;
    QPushButton* m_blocksButton = nullptr;
    QPushButton* m_touchUpButton = nullptr; ///< shown when there is something to show
    QTimer* m_timer;
};

} // namespace bitsmith::ui
