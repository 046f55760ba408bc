// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/theme/field_style.h"

#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <QPainter>
#include <QPainterPath>
#include <QStyleFactory>
#include <QStyleOption>

namespace bitsmith::ui {

namespace {

constexpr double kRadius = 5;
constexpr int kExtraHeight = 6; ///< fields are as tall as buttons

void drawField(QPainter& painter, const QStyleOption& option, bool editable)
{
    const QPalette& palette = option.palette;
    const bool enabled = option.state.testFlag(QStyle::State_Enabled);
    const bool focus = option.state.testFlag(QStyle::State_HasFocus);
    const bool hover = option.state.testFlag(QStyle::State_MouseOver) && enabled;
    QColor border = roleColor(palette, focus ? ColorRole::Accent : ColorRole::Border);
    if (hover && !focus) {
        border = roleColor(palette, ColorRole::Faint);
    }
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(border);
    painter.setBrush(!enabled ? palette.color(QPalette::Window)
            : editable        ? palette.color(QPalette::Base)
                              : palette.color(QPalette::Button));
    painter.drawRoundedRect(QRectF(option.rect).adjusted(0.5, 0.5, -0.5, -0.5), kRadius, kRadius);
    painter.restore();
}

/// A chevron in the middle of `rect`; `up` or down.
void drawChevron(QPainter& painter, const QRectF& rect, bool up, const QColor& color)
{
    const double half = std::min(4.0, rect.width() / 3);
    const double rise = (up ? -1 : 1) * half / 2;
    const QPointF middle = rect.center();
    QPainterPath path(middle + QPointF(-half, -rise));
    path.lineTo(middle + QPointF(0, rise));
    path.lineTo(middle + QPointF(half, -rise));
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    painter.strokePath(path, QPen(color, 1.4, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
    painter.restore();
}

void drawCheckBox(QPainter& painter, const QStyleOption& option)
{
    const QPalette& palette = option.palette;
    const bool enabled = option.state.testFlag(QStyle::State_Enabled);
    const bool on = option.state.testFlag(QStyle::State_On) && enabled;
    const double side = std::min(option.rect.width(), option.rect.height()) - 1;
    const QRectF box(option.rect.x() + 0.5, option.rect.center().y() - side / 2 + 0.5, side, side);
    painter.save();
    painter.setRenderHint(QPainter::Antialiasing);
    const QColor accent = palette.color(QPalette::Highlight);
    painter.setPen(on ? accent : roleColor(palette, ColorRole::Faint));
    painter.setBrush(on ? accent : palette.color(enabled ? QPalette::Base : QPalette::Window));
    painter.drawRoundedRect(box, 3, 3);
    painter.restore();
    if (option.state.testFlag(QStyle::State_On)) {
        paintIcon(painter, Icon::Check, box.adjusted(1, 1, -1, -1),
            enabled ? QColor(Qt::white) : roleColor(palette, ColorRole::Faint));
    }
}

} // namespace

FieldStyle::FieldStyle()
    : QProxyStyle(QStyleFactory::create(QStringLiteral("Fusion")))
{ }

void FieldStyle::drawPrimitive(PrimitiveElement element, const QStyleOption* option,
    QPainter* painter, const QWidget* widget) const
{
    if (element == PE_IndicatorCheckBox) {
        drawCheckBox(*painter, *option);
        return;
    }
    if (element == PE_PanelLineEdit) {
        const auto* frame = qstyleoption_cast<const QStyleOptionFrame*>(option);
        // A line edit inside a combo or spin box has no frame of its own.
        if (frame != nullptr && frame->lineWidth > 0) {
            drawField(*painter, *option, true);
        }
        return;
    }
    QProxyStyle::drawPrimitive(element, option, painter, widget);
}

void FieldStyle::drawComplexControl(ComplexControl control, const QStyleOptionComplex* option,
    QPainter* painter, const QWidget* widget) const
{
    if (control == CC_ComboBox) {
        drawCombo(*option, *painter, widget);
    } else if (control == CC_SpinBox) {
        drawSpin(*option, *painter, widget);
    } else {
        QProxyStyle::drawComplexControl(control, option, painter, widget);
    }
}

void FieldStyle::drawCombo(
    const QStyleOptionComplex& option, QPainter& painter, const QWidget* widget) const
{
    const auto* combo = qstyleoption_cast<const QStyleOptionComboBox*>(&option);
    drawField(painter, option, combo != nullptr && combo->editable);
    const QRect arrow = subControlRect(CC_ComboBox, &option, SC_ComboBoxArrow, widget);
    const bool enabled = option.state.testFlag(State_Enabled);
    drawChevron(painter, arrow, false,
        roleColor(option.palette, enabled ? ColorRole::Muted : ColorRole::Faint));
}

void FieldStyle::drawSpin(
    const QStyleOptionComplex& option, QPainter& painter, const QWidget* widget) const
{
    drawField(painter, option, true);
    const auto* spin = qstyleoption_cast<const QStyleOptionSpinBox*>(&option);
    if (spin == nullptr || spin->buttonSymbols == QAbstractSpinBox::NoButtons) {
        return;
    }
    const auto draw = [&](SubControl part, QAbstractSpinBox::StepEnabledFlag step) {
        const bool possible =
            spin->stepEnabled.testFlag(step) && option.state.testFlag(State_Enabled);
        const bool over =
            option.activeSubControls == part && option.state.testFlag(State_MouseOver);
        const ColorRole role = !possible ? ColorRole::Border
            : over                       ? ColorRole::Accent
                                         : ColorRole::Muted;
        drawChevron(painter, subControlRect(CC_SpinBox, &option, part, widget),
            part == SC_SpinBoxUp, roleColor(option.palette, role));
    };
    draw(SC_SpinBoxUp, QAbstractSpinBox::StepUpEnabled);
    draw(SC_SpinBoxDown, QAbstractSpinBox::StepDownEnabled);
}

QSize FieldStyle::sizeFromContents(
    ContentsType type, const QStyleOption* option, const QSize& size, const QWidget* widget) const
{
    QSize result = QProxyStyle::sizeFromContents(type, option, size, widget);
    if (type == CT_ComboBox || type == CT_SpinBox) {
        result.rheight() += kExtraHeight;
    } else if (type == CT_LineEdit) {
        const auto* frame = qstyleoption_cast<const QStyleOptionFrame*>(option);
        if (frame != nullptr && frame->lineWidth > 0) {
            result.rheight() += kExtraHeight;
        }
    }
    return result;
}

} // namespace bitsmith::ui
