// SPDX-License-Identifier: GPL-3.0-or-later
// Fusion with flat fields: line edits, combos, spin boxes and check boxes are drawn from the palette,
// so that their outlines stay visible in the dark theme.
#pragma once

#include <QProxyStyle>

namespace bitsmith::ui {

class FieldStyle : public QProxyStyle
{
    Q_OBJECT

public:
    FieldStyle();

    void drawPrimitive(PrimitiveElement element, const QStyleOption* option, QPainter* painter,
        const QWidget* widget) const override;
    void drawComplexControl(ComplexControl control, const QStyleOptionComplex* option,
        QPainter* painter, const QWidget* widget) const override;
    QSize sizeFromContents(ContentsType type, const QStyleOption* option, const QSize& size,
        const QWidget* widget) const override;

private:
    void drawCombo(
        const QStyleOptionComplex& option, QPainter& painter, const QWidget* widget) const;
    void drawSpin(
        const QStyleOptionComplex& option, QPainter& painter, const QWidget* widget) const;
};

} // namespace bitsmith::ui
