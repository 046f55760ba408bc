// SPDX-License-Identifier: GPL-3.0-or-later
// Divergence of the whole model on held-out text in the course of the end-to-end touch-up.
#pragma once

#include <bitsmith/event.h>

#include <QWidget>

#include <vector>

class QCustomPlot;
class QCPGraph;

namespace bitsmith::ui {

class TouchUpPlot : public QWidget
{
    Q_OBJECT

public:
    explicit TouchUpPlot(QWidget* parent = nullptr);

    /// Takes the measures of the touch-up out of all; the repaint is queued.
    void setMetrics(const std::vector<MetricReady>& metrics);
    QString summary() const { return m_summary; }
    int pointCount() const;

protected:
    void changeEvent(QEvent* event) override;

private:
    void applyTheme();

    QCustomPlot* m_plot;
    QCPGraph* m_divergence;
    QString m_summary;
};

} // namespace bitsmith::ui
