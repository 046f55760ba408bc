// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/stat_tile.h"

#include "widgets/controls/card.h"
#include "widgets/text/format_text.h"
#include "widgets/theme/theme.h"

#include <QLabel>
#include <QVBoxLayout>

namespace bitsmith::ui {

StatTile::StatTile(const QString& objectName, const QString& caption, QWidget* parent)
    : QWidget(parent)
    , m_caption(mutedLabel(caption))
    , m_value(new QLabel(unknownValue()))
    , m_note(mutedLabel({}))
{
    setObjectName(objectName);
    m_caption->setWordWrap(false);
    m_caption->setFont(scaledFont(0.85));
    m_value->setFont(scaledFont(1.35, QFont::DemiBold));
    m_value->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_note->setWordWrap(false);
    m_note->setFont(scaledFont(0.85));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(1);
    layout->addWidget(m_caption);
    layout->addWidget(m_value);
    layout->addWidget(m_note);
    setAccessibleName(caption);
}

void StatTile::setValue(const QString& value, const QString& note)
{
    m_value->setText(value);
    m_note->setText(note);
    setAccessibleDescription(value + QLatin1Char(' ') + note);
}

QString StatTile::value() const
{
    return m_value->text();
}

} // namespace bitsmith::ui
