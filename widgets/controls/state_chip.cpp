// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/state_chip.h"

#include <QPainter>

namespace bitsmith::ui {

namespace {

QFont chipFont(const QFont& base)
{
    QFont font = base;
    font.setPointSizeF(base.pointSizeF() * 0.9);
    font.setWeight(QFont::DemiBold);
    return font;
}

QSize chipSize(const QFont& base, const QString& text)
{
    const QFontMetrics metrics(chipFont(base));
    const int height = metrics.height() + 8;
    return {metrics.horizontalAdvance(text) + metrics.height() + 24, height};
}

} // namespace

StateChip::StateChip(QWidget* parent)
    : QWidget(parent)
    , m_look(lookOf(RunPhase::Empty))
{
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
}

void StateChip::setLook(const StateLook& look)
{
    m_look = look;
    setAccessibleName(tr("State: %1").arg(look.text));
    updateGeometry();
    update();
}

QSize StateChip::sizeHint() const
{
    return chipSize(font(), m_look.text);
}

int StateChip::paint(QPainter& painter, const QRect& rect, const StateLook& look,
    const QPalette& palette, const QFont& base)
{
    const QSize size = chipSize(base, look.text);
    const QRectF box(
        rect.x(), rect.y() + (rect.height() - size.height()) / 2.0, size.width(), size.height());
    const QColor color = roleColor(palette, look.role);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(Qt::NoPen);
    painter.setBrush(tint(palette, color, isDark(palette) ? 0.20 : 0.11));
    painter.drawRoundedRect(box, box.height() / 2, box.height() / 2);
    const double icon = box.height() - 10;
    paintIcon(painter, look.icon, QRectF(box.x() + 8, box.y() + 5, icon, icon), color);
    painter.setFont(chipFont(base));
    painter.setPen(color);
    painter.drawText(
        box.adjusted(icon + 13, 0, -8, 0), Qt::AlignVCenter | Qt::AlignLeft, look.text);
    painter.restore();
    return size.width();
}

void StateChip::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    paint(painter, rect(), m_look, palette(), font());
}

} // namespace bitsmith::ui
