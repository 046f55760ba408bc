// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/plots/step_loss_plot.h"

#include "widgets/plots/plot_theme.h"
#include "widgets/plots/qcp.h"
#include "widgets/text/format_text.h"

#include <QEvent>
#include <QVBoxLayout>

#include <cmath>

namespace bitsmith::ui {

namespace {

void setPoints(QCPGraph* graph, const StepSeries& series)
{
    const auto count = static_cast<int>(series.steps.size());
    const int shown = graph->dataCount();
    // Appending is the usual case while a block is tuned.
    if (shown > 0 && shown <= count
        && graph->data()->at(shown - 1)->key == series.steps[static_cast<std::size_t>(shown - 1)]) {
        for (int i = shown; i < count; ++i) {
            const auto at = static_cast<std::size_t>(i);
            graph->addData(series.steps[at], series.losses[at]);
        }
        return;
    }
    graph->setData(QVector<double>(series.steps.begin(), series.steps.end()),
        QVector<double>(series.losses.begin(), series.losses.end()), true);
}

/// Index of the step to mark: the one that was kept, else the lowest so far.
int bestIndex(const BlockPicture& block)
{
    if (block.result) {
        const auto& steps = block.series.steps;
        const auto at = std::lower_bound(
            steps.begin(), steps.end(), static_cast<double>(block.result->best_iteration));
        if (at != steps.end()) {
            return static_cast<int>(at - steps.begin());
        }
    }
    return block.series.lowest;
}

QString summaryOf(int blockIndex, const BlockPicture& block, int best)
{
    const StepSeries& series = block.series;
    if (series.losses.empty() || best < 0) {
        return StepLossPlot::tr("Block %1 has no loss yet.").arg(blockIndex);
    }
    return StepLossPlot::tr("Loss of block %1 went from %2 to %3, best %4 at step %5.")
        .arg(blockIndex)
        .arg(formatReal(series.losses.front()), formatReal(series.losses.back()),
            formatReal(series.losses[static_cast<std::size_t>(best)]))
        .arg(static_cast<int>(series.steps[static_cast<std::size_t>(best)]) + 1);
}

} // namespace

StepLossPlot::StepLossPlot(QWidget* parent)
    : QWidget(parent)
    , m_plot(new QCustomPlot)
{
    setObjectName(QStringLiteral("stepLossPlot"));
    setAccessibleName(tr("Loss of the steps of one block"));
    m_previous = m_plot->addGraph();
    m_current = m_plot->addGraph();
    m_best = m_plot->addGraph();
    m_previous->setAntialiased(false);
    m_current->setName(tr("Loss"));
    m_best->setLineStyle(QCPGraph::lsNone);
    m_plot->setNoAntialiasingOnDrag(true);
    m_plot->setInteractions(QCP::iRangeDrag | QCP::iRangeZoom);
    m_plot->axisRect()->setRangeDrag(Qt::Horizontal);
    m_plot->axisRect()->setRangeZoom(Qt::Horizontal);
    m_plot->axisRect()->setMinimumMargins(QMargins(8, 8, 12, 4));
    m_plot->xAxis->setLabel(tr("step"));
    m_plot->legend->setVisible(true);
    m_plot->axisRect()->insetLayout()->setInsetAlignment(0, Qt::AlignRight | Qt::AlignTop);
    m_plot->setMinimumHeight(120);
    setLogScale(*m_plot->yAxis, true);
    connect(m_plot, &QCustomPlot::mouseDoubleClick, this, [this] {
        rescale();
        m_plot->replot(QCustomPlot::rpQueuedReplot);
    });
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_plot);
    applyTheme();
}

void StepLossPlot::setSeries(
    int blockIndex, const BlockPicture* block, const BlockPicture* previous)
{
    static const StepSeries kEmpty;
    if (blockIndex != m_shownBlock) {
        m_current->data()->clear();
        m_previous->data()->clear();
        m_shownBlock = blockIndex;
    }
    setPoints(m_previous, previous != nullptr ? previous->series : kEmpty);
    setPoints(m_current, block != nullptr ? block->series : kEmpty);
    m_best->data()->clear();
    m_summary = tr("No block has been tuned yet.");
    if (block != nullptr) {
        const int best = bestIndex(*block);
        if (best >= 0) {
            const auto at = static_cast<std::size_t>(best);
            m_best->addData(block->series.steps[at], block->series.losses[at]);
            m_best->setName(block->result ? tr("Kept: step %1").arg(block->series.steps[at] + 1)
                                          : tr("Best: step %1").arg(block->series.steps[at] + 1));
        }
        m_summary = summaryOf(blockIndex, *block, best);
    }
    m_current->setName(tr("Block %1").arg(std::max(0, blockIndex)));
    m_previous->setName(tr("Block %1").arg(blockIndex - 1));
    m_plot->legend->setVisible(m_current->dataCount() > 0);
    const auto show = [this](QCPGraph* graph) {
        graph->dataCount() > 0 ? graph->addToLegend() : graph->removeFromLegend();
    };
    show(m_previous);
    show(m_current);
    show(m_best);
    setAccessibleDescription(m_summary);
    m_plot->setToolTip(m_summary);
    const double last = block != nullptr && block->iters > 0
        ? static_cast<double>(block->iters)
        : std::max(10.0, static_cast<double>(m_current->dataCount()));
    m_plot->xAxis->setRange(0, last);
    rescale();
    m_plot->replot(QCustomPlot::rpQueuedReplot);
}

void StepLossPlot::rescale()
{
    bool found = false;
    const bool log = m_plot->yAxis->scaleType() == QCPAxis::stLogarithmic;
    const auto domain = log ? QCP::sdPositive : QCP::sdBoth;
    QCPRange range = m_current->getValueRange(found, domain);
    bool foundPrevious = false;
    const QCPRange before = m_previous->getValueRange(foundPrevious, domain);
    if (foundPrevious) {
        found ? range.expand(before) : void(range = before);
    }
    if (!found && !foundPrevious) {
        range = log ? QCPRange(1e-4, 1) : QCPRange(0, 1);
    } else if (log) {
        range = QCPRange(range.lower / 1.15, range.upper * 1.25);
    } else {
        const double margin = std::max(range.size() * 0.08, 1e-12);
        range = QCPRange(range.lower - margin, range.upper + 2 * margin);
    }
    m_plot->yAxis->setRange(range);
}

void StepLossPlot::setLogarithmic(bool on)
{
    setLogScale(*m_plot->yAxis, on);
    rescale();
    m_plot->replot(QCustomPlot::rpQueuedReplot);
}

int StepLossPlot::pointCount() const
{
    return m_current->dataCount();
}

void StepLossPlot::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        applyTheme();
        m_plot->replot(QCustomPlot::rpQueuedReplot);
    }
}

void StepLossPlot::applyTheme()
{
    applyPlotTheme(*m_plot, palette());
    const PlotColors colors = plotColors(palette());
    m_previous->setPen(QPen(colors.previous, 1));
    m_current->setPen(QPen(colors.live, 1.6));
    m_best->setScatterStyle(
        QCPScatterStyle(QCPScatterStyle::ssCircle, QPen(colors.best, 1.6), colors.background, 8));
    m_best->setPen(QPen(colors.best));
}

} // namespace bitsmith::ui
