// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/card.h"

#include "widgets/theme/theme.h"

#include <QLabel>
#include <QVBoxLayout>

namespace bitsmith::ui {

Card::Card(const QString& title, QWidget* parent)
    : QFrame(parent)
    , m_title(new QLabel(title))
    , m_header(new QHBoxLayout)
    , m_body(new QVBoxLayout)
{
    setProperty("card", true);
    m_title->setFont(scaledFont(1.05, QFont::DemiBold));
    m_header->addWidget(m_title);
    m_header->addStretch();
    m_body->setSpacing(8);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(16, 12, 16, 14);
    layout->setSpacing(8);
    layout->addLayout(m_header);
    layout->addLayout(m_body, 1);
}

QLabel* mutedLabel(const QString& text, QWidget* parent)
{
    auto* label = new QLabel(text, parent);
    label->setProperty("muted", true);
    label->setWordWrap(true);
    return label;
}

} // namespace bitsmith::ui
