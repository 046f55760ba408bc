// SPDX-License-Identifier: GPL-3.0-or-later
// A run, live or from its folder: header, bit map, loss, layers, result and log.
#pragma once

#include "widgets/pages/run_header.h"

class QStackedLayout;
class QTabWidget;

namespace bitsmith::ui {

class BitMapModel;
class EvalPanel;
class LossPanel;
class SelectionHub;

class RunPage : public QWidget
{
    Q_OBJECT

public:
    explicit RunPage(RunState* state, QWidget* parent = nullptr);

    RunHeader* header() { return m_header; }
    LossPanel* lossPanel() { return m_loss; }

Q_SIGNALS:
    void newJobRequested();
    void openRunRequested();
    void openPathRequested(const QString& path);

private:
    QWidget* buildEmptyPage();
    Card* buildBitMap();
    Card* buildTabs();
    QWidget* buildLayerTable();
    void refreshEmpty();
    void refreshTabs();

    RunState* m_state;
    SelectionHub* m_selection;
    BitMapModel* m_bitMap;
    QStackedLayout* m_stack;
    RunHeader* m_header;
    LossPanel* m_loss;
    QTabWidget* m_tabs = nullptr;
    QLabel* m_outside = nullptr;
};

} // namespace bitsmith::ui
