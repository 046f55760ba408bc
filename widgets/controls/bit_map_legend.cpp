// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/bit_map_legend.h"

#include "widgets/models/bit_map_model.h"
#include "widgets/text/format_text.h"
#include "widgets/theme/color_scale.h"
#include "widgets/theme/theme.h"

#include <QPainter>

#include <cmath>
#include <map>

namespace bitsmith::ui {

BitMapLegend::BitMapLegend(BitMapModel* model, RunState* state, QWidget* parent)
    : QWidget(parent)
    , m_model(model)
    , m_state(state)
{
    setObjectName(QStringLiteral("bitMapLegend"));
    setAccessibleName(tr("Legend of the map"));
    setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    setFont(scaledFont(0.9));
    connect(model, &QAbstractItemModel::modelReset, this, &BitMapLegend::refresh);
    connect(model, &QAbstractItemModel::dataChanged, this, qOverload<>(&QWidget::update));
    refresh();
}

QSize BitMapLegend::sizeHint() const
{
    return {200, fontMetrics().height() + 6};
}

void BitMapLegend::refresh()
{
    std::map<double, int> counts;
    for (const LayerPicture& layer : m_state->picture().layers) {
        if (layer.block >= 0) {
            ++counts[std::round(layer.bits * 100) / 100];
        }
    }
    m_entries.clear();
    for (const auto& [bits, count] : counts) {
        m_entries.push_back({bits,
            keepsPrecision(bits)
                ? tr("16 bits (%n layers)", nullptr, count)
                : tr("%1 bits (%n layers)", nullptr, count).arg(formatFixed(bits, 2))});
    }
    update();
}

void BitMapLegend::paintEntries(QPainter& painter) const
{
    const int side = fontMetrics().height() - 2;
    int x = 0;
    const int y = (height() - side) / 2;
    for (const Entry& entry : m_entries) {
        const QRect box(x, y, side, side);
        if (keepsPrecision(entry.bits)) {
            painter.setPen(roleColor(palette(), ColorRole::Muted));
            painter.drawRect(box.adjusted(0, 0, -1, -1));
        } else {
            painter.fillRect(box, bitsColor(entry.bits));
        }
        painter.setPen(roleColor(palette(), ColorRole::Muted));
        const int width = fontMetrics().horizontalAdvance(entry.text);
        painter.drawText(QRect(x + side + 6, 0, width + 2, height()), Qt::AlignVCenter, entry.text);
        x += side + 6 + width + 18;
    }
}

void BitMapLegend::paintScale(QPainter& painter) const
{
    const auto range = m_model->valueRange();
    if (!range) {
        painter.setPen(roleColor(palette(), ColorRole::Muted));
        painter.drawText(rect(), Qt::AlignVCenter, tr("Known once the first block is finished."));
        return;
    }
    // Dark is good: for SQNR and cosine the largest value, for the error the smallest.
    const bool largeIsGood = m_model->measure() != CellMeasure::Mse;
    const QString good =
        measureText(m_model->measure(), largeIsGood ? range->second : range->first);
    const QString bad = measureText(m_model->measure(), largeIsGood ? range->first : range->second);
    painter.setPen(roleColor(palette(), ColorRole::Muted));
    const int left = fontMetrics().horizontalAdvance(good);
    painter.drawText(QRect(0, 0, left + 2, height()), Qt::AlignVCenter, good);
    const int side = fontMetrics().height() - 4;
    const QRect bar(left + 8, (height() - side) / 2, 160, side);
    QLinearGradient gradient(bar.topLeft(), bar.topRight());
    for (int i = 0; i <= 10; ++i) {
        gradient.setColorAt(i / 10.0, scaleColor(i / 10.0));
    }
    painter.fillRect(bar, gradient);
    painter.drawText(
        QRect(bar.right() + 8, 0, width(), height()), Qt::AlignVCenter, tr("%1 (worst)").arg(bad));
}

void BitMapLegend::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    m_model->measure() == CellMeasure::Bits ? paintEntries(painter) : paintScale(painter);
}

} // namespace bitsmith::ui
