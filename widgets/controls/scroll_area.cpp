// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/scroll_area.h"

#include <QScrollArea>

namespace bitsmith::ui {

QScrollArea* plainScrollArea(QWidget* content)
{
    auto* area = new QScrollArea;
    area->setWidgetResizable(true);
    area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    area->setFrameShape(QFrame::NoFrame);
    area->setProperty("plain", true);
    content->setProperty("plain", true);
    area->viewport()->setAutoFillBackground(false);
    content->setAutoFillBackground(false);
    area->setWidget(content);
    return area;
}

} // namespace bitsmith::ui
