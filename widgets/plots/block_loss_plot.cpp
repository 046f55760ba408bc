// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/plots/block_loss_plot.h"

#include "widgets/plots/plot_theme.h"
#include "widgets/plots/qcp.h"
#include "widgets/text/format_text.h"

#include <QEvent>
#include <QMouseEvent>
#include <QVBoxLayout>

#include <cmath>

namespace bitsmith::ui {

BlockLossPlot::BlockLossPlot(QWidget* parent)
    : QWidget(parent)
    , m_plot(new QCustomPlot)
{
    setObjectName(QStringLiteral("blockLossPlot"));
    setAccessibleName(tr("Loss of all blocks"));
    m_rtn = m_plot->addGraph();
    m_start = m_plot->addGraph();
    m_final = m_plot->addGraph();
    m_rtn->setName(tr("Plain rounding"));
    m_start->setName(tr("Start of tuning"));
    m_final->setName(tr("Kept"));
    m_start->setLineStyle(QCPGraph::lsNone);
    m_plot->axisRect()->setMinimumMargins(QMargins(8, 8, 12, 4));
    m_plot->xAxis->setLabel(tr("block"));
    m_plot->axisRect()->insetLayout()->setInsetAlignment(0, Qt::AlignLeft | Qt::AlignTop);
    m_plot->setMinimumHeight(120);
    setLogScale(*m_plot->yAxis, true);
    const QSharedPointer<QCPAxisTickerFixed> ticker(new QCPAxisTickerFixed);
    ticker->setTickStep(1);
    ticker->setScaleStrategy(QCPAxisTickerFixed::ssMultiples);
    m_plot->xAxis->setTicker(ticker);
    connect(m_plot, &QCustomPlot::mousePress, this,
        [this](QMouseEvent* event) { onMousePress(event->pos()); });
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_plot);
    applyTheme();
    setBlocks({});
}

void BlockLossPlot::setBlocks(const std::vector<BlockPicture>& blocks)
{
    m_blocks = static_cast<int>(blocks.size());
    QVector<double> keys, rtn, start, kept;
    double gain = 0;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (!blocks[i].result) {
            continue;
        }
        const BlockFinished& result = *blocks[i].result;
        keys << static_cast<double>(i);
        rtn << result.loss_rtn;
        start << result.loss_start;
        kept << result.loss;
        if (result.loss > 0 && result.loss_rtn > 0) {
            gain += std::log(result.loss / result.loss_rtn);
        }
    }
    m_rtn->setData(keys, rtn, true);
    m_start->setData(keys, start, true);
    m_final->setData(keys, kept, true);
    m_summary = keys.isEmpty()
        ? tr("No block is finished yet.")
        : tr("%n blocks finished; the loss changed by %1 against plain rounding.", nullptr,
            static_cast<int>(keys.size()))
              .arg(formatChange(
                  std::exp(gain / static_cast<double>(std::max<qsizetype>(1, keys.size()))) - 1));
    setAccessibleDescription(m_summary);
    m_plot->setToolTip(m_summary);
    m_plot->legend->setVisible(!keys.isEmpty());
    rescale();
    m_plot->replot(QCustomPlot::rpQueuedReplot);
}

void BlockLossPlot::rescale()
{
    const bool log = m_plot->yAxis->scaleType() == QCPAxis::stLogarithmic;
    const auto domain = log ? QCP::sdPositive : QCP::sdBoth;
    QCPRange range(1e-4, 1);
    bool any = false;
    for (QCPGraph* graph : {m_rtn, m_start, m_final}) {
        bool found = false;
        const QCPRange own = graph->getValueRange(found, domain);
        if (found) {
            any ? range.expand(own) : void(range = own);
            any = true;
        }
    }
    if (log) {
        range = QCPRange(range.lower / 1.3, range.upper * (any ? 2.5 : 1));
    } else {
        range = QCPRange(0, range.upper * 1.15);
    }
    m_plot->yAxis->setRange(range);
    m_plot->xAxis->setRange(-0.6, std::max(1, m_blocks) - 0.4);
}

void BlockLossPlot::setLogarithmic(bool on)
{
    setLogScale(*m_plot->yAxis, on);
    rescale();
    m_plot->replot(QCustomPlot::rpQueuedReplot);
}

int BlockLossPlot::pointCount() const
{
    return m_final->dataCount();
}

void BlockLossPlot::onMousePress(const QPoint& position)
{
    const auto block = static_cast<int>(std::lround(m_plot->xAxis->pixelToCoord(position.x())));
    if (block >= 0 && block < m_blocks) {
        Q_EMIT blockClicked(block);
    }
}

void BlockLossPlot::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        applyTheme();
        m_plot->replot(QCustomPlot::rpQueuedReplot);
    }
}

void BlockLossPlot::applyTheme()
{
    applyPlotTheme(*m_plot, palette());
    const PlotColors colors = plotColors(palette());
    m_rtn->setPen(QPen(colors.previous, 1.2));
    m_rtn->setScatterStyle(QCPScatterStyle(
        QCPScatterStyle::ssCircle, QPen(colors.previous, 1.4), colors.background, 6));
    m_start->setPen(QPen(colors.start));
    m_start->setScatterStyle(
        QCPScatterStyle(QCPScatterStyle::ssCross, QPen(colors.start, 1.4), Qt::NoBrush, 6));
    m_final->setPen(QPen(colors.live, 1.6));
    m_final->setScatterStyle(
        QCPScatterStyle(QCPScatterStyle::ssDisc, QPen(colors.live, 1.4), colors.live, 6));
}

} // namespace bitsmith::ui
