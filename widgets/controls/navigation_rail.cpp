// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/navigation_rail.h"

#include "widgets/theme/theme.h"

#include <QButtonGroup>
#include <QLabel>
#include <QToolButton>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

NavigationRail::NavigationRail(QWidget* parent)
    : QFrame(parent)
    , m_buttons(new QButtonGroup(this))
    , m_layout(new QVBoxLayout(this))
    , m_brand(nullptr)
{
    setObjectName(u"navigationRail"_s);
    setProperty("rail", true);
    setAccessibleName(tr("Pages"));
    m_layout->setContentsMargins(10, 14, 10, 14);
    m_layout->setSpacing(4);
    auto* brand = new QLabel(u"Bitsmith"_s);
    brand->setFont(scaledFont(1.3, QFont::Bold));
    brand->setContentsMargins(8, 0, 8, 10);
    m_layout->addWidget(brand);
    m_brand = brand;
    m_layout->addStretch();
    setCompact(false);
    connect(m_buttons, &QButtonGroup::idClicked, this, &NavigationRail::pageRequested);
}

void NavigationRail::addPage(const QString& name, Icon icon, const QString& title)
{
    auto* button = new QToolButton;
    button->setObjectName(QString(name + u"RailButton"_s));
    button->setProperty("rail", true);
    button->setCheckable(true);
    button->setAutoRaise(true);
    button->setIcon(themedIcon(icon));
    button->setText(QString(u"  "_s + title));
    button->setAccessibleName(title);
    button->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    button->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    button->setFocusPolicy(Qt::TabFocus);
    m_buttons->addButton(button, m_count);
    m_layout->insertWidget(m_layout->count() - 1, button);
    ++m_count;
}

void NavigationRail::setCurrent(int page)
{
    if (QAbstractButton* button = m_buttons->button(page)) {
        button->setChecked(true);
    }
}

void NavigationRail::setCompact(bool compact)
{
    m_brand->setVisible(!compact);
    for (QAbstractButton* button : m_buttons->buttons()) {
        auto* tool = static_cast<QToolButton*>(button);
        tool->setToolButtonStyle(compact ? Qt::ToolButtonIconOnly : Qt::ToolButtonTextBesideIcon);
        tool->setToolTip(compact ? button->accessibleName() : QString());
    }
    setFixedWidth(compact ? fontMetrics().height() * 4
                          : fontMetrics().horizontalAdvance(u"Bitsmith workbench"_s) + 40);
}

} // namespace bitsmith::ui
