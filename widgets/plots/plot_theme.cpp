// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/plots/plot_theme.h"

#include "widgets/plots/qcp.h"
#include "widgets/theme/theme.h"

namespace bitsmith::ui {

PlotColors plotColors(const QPalette& palette)
{
    const bool dark = isDark(palette);
    return {
        palette.color(QPalette::Base),
        roleColor(palette, ColorRole::Border),
        tint(palette, palette.color(QPalette::WindowText), dark ? 0.10 : 0.08),
        roleColor(palette, ColorRole::Muted),
        roleColor(palette, ColorRole::Accent),
        roleColor(palette, ColorRole::Faint),
        dark ? QColor(0xe9, 0xb4, 0x4c) : QColor(0xb8, 0x6e, 0x00),
        dark ? QColor(0x5c, 0xc8, 0x9a) : QColor(0x11, 0x71, 0x4a),
    };
}

void applyPlotTheme(QCustomPlot& plot, const QPalette& palette)
{
    const PlotColors colors = plotColors(palette);
    plot.setBackground(colors.background);
    const QFont font = scaledFont(0.88);
    for (QCPAxis* axis : {plot.xAxis, plot.yAxis}) {
        axis->setBasePen(QPen(colors.axis));
        axis->setTickPen(QPen(colors.axis));
        axis->setSubTickPen(QPen(colors.axis));
        axis->setTickLabelColor(colors.text);
        axis->setTickLabelFont(font);
        axis->setLabelColor(colors.text);
        axis->setLabelFont(font);
        axis->setTickLength(0, 4);
        axis->setSubTickLength(0, 0);
        axis->grid()->setPen(QPen(colors.grid));
        axis->grid()->setZeroLinePen(QPen(colors.grid));
        axis->grid()->setSubGridVisible(false);
    }
    plot.xAxis->grid()->setVisible(false);
    plot.legend->setBrush(Qt::NoBrush);
    plot.legend->setBorderPen(Qt::NoPen);
    plot.legend->setTextColor(colors.text);
    plot.legend->setFont(font);
    plot.legend->setIconSize(18, 10);
}

void setLogScale(QCPAxis& axis, bool logarithmic)
{
    axis.setScaleType(logarithmic ? QCPAxis::stLogarithmic : QCPAxis::stLinear);
    const QSharedPointer<QCPAxisTicker> ticker = logarithmic
        ? QSharedPointer<QCPAxisTicker>(new QCPAxisTickerLog)
        : QSharedPointer<QCPAxisTicker>(new QCPAxisTicker);
    ticker->setTickCount(4);
    axis.setTicker(ticker);
    axis.setNumberFormat(QStringLiteral("gbc"));
    axis.setNumberPrecision(3);
}

} // namespace bitsmith::ui
