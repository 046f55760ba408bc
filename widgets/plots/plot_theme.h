// SPDX-License-Identifier: GPL-3.0-or-later
// Colours of charts from the palette. Each chart applies them again when the palette changes.
#pragma once

#include <QColor>
#include <QPalette>

class QCustomPlot;
class QCPAxis;

namespace bitsmith::ui {

struct PlotColors
{
    QColor background;
    QColor axis;
    QColor grid;
    QColor text;
    QColor live; ///< the curve that matters
    QColor previous; ///< what it is compared with, faint
    QColor start;
    QColor best;
};

PlotColors plotColors(const QPalette& palette);
/// Background, axes, grid, fonts and legend of `plot`.
void applyPlotTheme(QCustomPlot& plot, const QPalette& palette);
/// Linear or logarithmic scale with fitting ticks.
void setLogScale(QCPAxis& axis, bool logarithmic);

} // namespace bitsmith::ui
