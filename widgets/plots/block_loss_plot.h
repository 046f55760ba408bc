// SPDX-License-Identifier: GPL-3.0-or-later
// All blocks at a glance: loss of plain rounding, at the start of tuning, and of what was kept.
#pragma once

#include "widgets/state/run_picture.h"

#include <QWidget>

class QCustomPlot;
class QCPGraph;

namespace bitsmith::ui {

class BlockLossPlot : public QWidget
{
    Q_OBJECT

public:
    explicit BlockLossPlot(QWidget* parent = nullptr);

    /// Values are copied; the repaint is queued.
    void setBlocks(const std::vector<BlockPicture>& blocks);
    void setLogarithmic(bool on);
    QString summary() const { return m_summary; }
    int pointCount() const;

Q_SIGNALS:
    void blockClicked(int block);

protected:
    void changeEvent(QEvent* event) override;

private:
    void applyTheme();
    void rescale();
    void onMousePress(const QPoint& position);

    QCustomPlot* m_plot;
    QCPGraph* m_rtn;
    QCPGraph* m_start;
    QCPGraph* m_final;
    int m_blocks = 0;
    QString m_summary;
};

} // namespace bitsmith::ui
