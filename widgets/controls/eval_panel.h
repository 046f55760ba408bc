// SPDX-License-Identifier: GPL-3.0-or-later
// What the quantization cost: divergence from the original, perplexity, agreement, and the files
// that were written.
#pragma once

#include "widgets/controls/card.h"

class QStackedLayout;

namespace bitsmith::ui {

class ExportList;
class RunState;
class StatTile;

class EvalPanel : public Card
{
    Q_OBJECT

public:
    explicit EvalPanel(RunState* state, QWidget* parent = nullptr);

Q_SIGNALS:
    void openRequested(const QString& path); ///< show a written file or folder

private:
    void refresh();
    void refreshPerplexity();
    void setMetric(StatTile* tile, std::string_view name, int decimals);

    RunState* m_state;
    QStackedLayout* m_stack;
    StatTile* m_klMean;
    StatTile* m_klP99;
    StatTile* m_klMax;
    StatTile* m_perplexity;
    StatTile* m_top1;
    StatTile* m_size;
    ExportList* m_exports;
};

} // namespace bitsmith::ui
