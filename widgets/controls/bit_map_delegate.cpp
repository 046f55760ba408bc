// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/bit_map_delegate.h"

#include "widgets/models/bit_map_model.h"
#include "widgets/theme/color_scale.h"
#include "widgets/theme/theme.h"

#include <QPainter>

#include <cmath>

namespace bitsmith::ui {

namespace {

/// Text that fits into a cell: bits as whole numbers, decibels without a unit.
QString shortText(CellMeasure measure, double value)
{
    if (measure == CellMeasure::Bits) {
        return QString::number(std::lround(std::floor(value + 0.01)));
    }
    return measure == CellMeasure::Sqnr ? QString::number(std::lround(value)) : QString();
}

QColor fillOf(const QModelIndex& index, CellMeasure measure, double value)
{
    if (measure == CellMeasure::Bits) {
        return bitsColor(value);
    }
    return scaleColor(index.data(BitMapModel::PositionRole).toDouble());
}

} // namespace

void BitMapDelegate::paint(
    QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
    if (!index.data(BitMapModel::PresentRole).toBool()) {
        return;
    }
    const auto* model = qobject_cast<const BitMapModel*>(index.model());
    const CellMeasure measure = model != nullptr ? model->measure() : CellMeasure::Bits;
    const QPalette& palette = option.palette;
    const auto state = static_cast<PartState>(index.data(BitMapModel::StateRole).toInt());
    const QVariant value = index.data(BitMapModel::ValueRole);
    const QRect cell = option.rect.adjusted(1, 1, -1, -1);
    const bool done = state == PartState::Done;
    const bool outlined = measure == CellMeasure::Bits && keepsPrecision(value.toDouble());
    QColor fill = palette.color(QPalette::Base);
    if (value.isValid() && !outlined) {
        const QColor full = fillOf(index, measure, value.toDouble());
        fill = done ? full : tint(palette, full, 0.18);
    }
    painter->save();
    painter->fillRect(cell, fill);
    if (outlined || !value.isValid() || !done) {
        painter->setPen(roleColor(palette, ColorRole::Border));
        painter->drawRect(cell.adjusted(0, 0, -1, -1));
    }
    const QString text = value.isValid() ? shortText(measure, value.toDouble()) : QString();
    if (cell.width() >= option.fontMetrics.horizontalAdvance(text) + 2
        && cell.height() >= option.fontMetrics.height() - 2) {
        painter->setPen(done && !outlined ? textOn(fill) : roleColor(palette, ColorRole::Muted));
        painter->drawText(cell, Qt::AlignCenter, text);
    }
    if (index.data(BitMapModel::ExceptionRole).toBool()) {
        painter->setPen(Qt::NoPen);
        painter->setBrush(done && !outlined ? textOn(fill) : roleColor(palette, ColorRole::Muted));
        const int side = std::max(3, cell.width() / 6);
        painter->drawPolygon(QPolygon({cell.topRight() + QPoint(-side, 1),
            cell.topRight() + QPoint(0, 1), cell.topRight() + QPoint(0, side + 1)}));
    }
    const bool selected = option.state.testFlag(QStyle::State_Selected);
    if (selected || state == PartState::Active) {
        painter->setBrush(Qt::NoBrush);
        painter->setPen(QPen(roleColor(palette, ColorRole::Accent), selected ? 2 : 1));
        painter->drawRect(cell.adjusted(0, 0, -1, -1));
    }
    painter->restore();
}

} // namespace bitsmith::ui
