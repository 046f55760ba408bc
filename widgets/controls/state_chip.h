// SPDX-License-Identifier: GPL-3.0-or-later
// State of a run as icon, word and colour together.
#pragma once

#include "widgets/text/run_text.h"

#include <QWidget>

namespace bitsmith::ui {

class StateChip : public QWidget
{
    Q_OBJECT

public:
    explicit StateChip(QWidget* parent = nullptr);

    void setLook(const StateLook& look);
    QString text() const { return m_look.text; }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return sizeHint(); }

    /// Draws a chip into `rect`, left aligned; for delegates. Returns its width.
    static int paint(QPainter& painter, const QRect& rect, const StateLook& look,
        const QPalette& palette, const QFont& font);

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    StateLook m_look;
};

} // namespace bitsmith::ui
