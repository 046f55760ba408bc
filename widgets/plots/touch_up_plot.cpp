// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/plots/touch_up_plot.h"

#include "widgets/plots/plot_theme.h"
#include "widgets/plots/qcp.h"
#include "widgets/text/format_text.h"

#include <QEvent>
#include <QVBoxLayout>

#include <algorithm>

namespace bitsmith::ui {

namespace {

constexpr const char* kMetric = "held_out_kld";

/// "touch-up, step 8" -> 8.
double stepOf(const MetricReady& metric)
{
    return QString::fromStdString(metric.task).section(QLatin1Char(' '), -1).toDouble();
}

} // namespace

TouchUpPlot::TouchUpPlot(QWidget* parent)
    : QWidget(parent)
    , m_plot(new QCustomPlot)
{
    setObjectName(QStringLiteral("touchUpPlot"));
    setAccessibleName(tr("Divergence during the touch-up"));
    m_divergence = m_plot->addGraph();
    m_divergence->setName(tr("KL divergence on held-out text"));
    m_plot->axisRect()->setMinimumMargins(QMargins(8, 8, 12, 4));
    m_plot->axisRect()->insetLayout()->setInsetAlignment(0, Qt::AlignRight | Qt::AlignTop);
    m_plot->xAxis->setLabel(tr("step of the whole model"));
    m_plot->setMinimumHeight(120);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_plot);
    applyTheme();
    setMetrics({});
}

void TouchUpPlot::setMetrics(const std::vector<MetricReady>& metrics)
{
    QVector<double> steps, values;
    for (const MetricReady& metric : metrics) {
        if (metric.metric == kMetric) {
            steps << stepOf(metric);
            values << metric.value;
        }
    }
    m_divergence->setData(steps, values, true);
    const double lowest = values.isEmpty() ? 0 : *std::min_element(values.begin(), values.end());
    m_summary = values.isEmpty()
        ? tr("Scales and norms of this run are not touched up.")
        : tr("The divergence on held-out text changed by %1 in %2 steps.")
              .arg(formatChange(values.front() > 0 ? lowest / values.front() - 1 : 0))
              .arg(steps.back());
    setAccessibleDescription(m_summary);
    m_plot->setToolTip(m_summary);
    m_plot->legend->setVisible(!values.isEmpty());
    const double highest = values.isEmpty() ? 1 : *std::max_element(values.begin(), values.end());
    const double room = std::max((highest - lowest) * 0.25, highest * 0.02);
    m_plot->yAxis->setRange(std::max(0.0, lowest - room), highest + 2 * room);
    m_plot->xAxis->setRange(-0.5, steps.isEmpty() ? 1 : steps.back() + 0.5);
    m_plot->replot(QCustomPlot::rpQueuedReplot);
}

int TouchUpPlot::pointCount() const
{
    return m_divergence->dataCount();
}

void TouchUpPlot::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        applyTheme();
        m_plot->replot(QCustomPlot::rpQueuedReplot);
    }
}

void TouchUpPlot::applyTheme()
{
    applyPlotTheme(*m_plot, palette());
    const PlotColors colors = plotColors(palette());
    m_divergence->setPen(QPen(colors.live, 1.6));
    m_divergence->setScatterStyle(
        QCPScatterStyle(QCPScatterStyle::ssDisc, QPen(colors.live, 1.4), colors.live, 6));
}

} // namespace bitsmith::ui
