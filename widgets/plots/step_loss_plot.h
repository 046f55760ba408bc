// SPDX-License-Identifier: GPL-3.0-or-later
// Loss of every step of one block; the block before it faint, the best step marked.
#pragma once

#include "widgets/state/run_picture.h"

#include <QWidget>

class QCustomPlot;
class QCPGraph;

namespace bitsmith::ui {

class StepLossPlot : public QWidget
{
    Q_OBJECT

public:
    explicit StepLossPlot(QWidget* parent = nullptr);

    /// Shows `block`, whose series may still grow, and `previous` (may be null) behind it. Values
    /// are copied; the repaint is queued.
    void setSeries(int blockIndex, const BlockPicture* block, const BlockPicture* previous);
    void setLogarithmic(bool on);
    /// The chart as a sentence.
    QString summary() const { return m_summary; }
    int pointCount() const;

protected:
    void changeEvent(QEvent* event) override;

private:
    void applyTheme();
    void rescale();

    QCustomPlot* m_plot;
    QCPGraph* m_previous;
    QCPGraph* m_current;
    QCPGraph* m_best;
    int m_shownBlock = -1;
    QString m_summary;
};

} // namespace bitsmith::ui
