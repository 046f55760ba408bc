// SPDX-License-Identifier: GPL-3.0-or-later
// Paints one cell of the bit map: colour, text where there is room, and marks for what is not done.
#pragma once

#include <QStyledItemDelegate>

namespace bitsmith::ui {

class BitMapDelegate : public QStyledItemDelegate
{
    Q_OBJECT

public:
    using QStyledItemDelegate::QStyledItemDelegate;

    void paint(QPainter* painter, const QStyleOptionViewItem& option,
        const QModelIndex& index) const override;
};

} // namespace bitsmith::ui
