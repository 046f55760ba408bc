// SPDX-License-Identifier: GPL-3.0-or-later
// The list of pages at the left edge of the window.
#pragma once

#include "widgets/theme/icons.h"

#include <QFrame>

class QButtonGroup;
class QVBoxLayout;

namespace bitsmith::ui {

class NavigationRail : public QFrame
{
    Q_OBJECT

public:
    explicit NavigationRail(QWidget* parent = nullptr);

    /// Pages are numbered in the order they are added; the button is named `name` + "RailButton".
    void addPage(const QString& name, Icon icon, const QString& title);
    void setCurrent(int page);
    /// Icons only, for narrow windows.
    void setCompact(bool compact);

Q_SIGNALS:
    void pageRequested(int page);

private:
    QButtonGroup* m_buttons;
    QVBoxLayout* m_layout;
    QWidget* m_brand;
    int m_count = 0;
};

} // namespace bitsmith::ui
