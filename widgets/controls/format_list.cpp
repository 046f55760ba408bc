// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/format_list.h"

#include "widgets/controls/card.h"
#include "widgets/text/format_text.h"

#include <bitsmith/catalog.h>

#include <QCheckBox>
#include <QLabel>
#include <QSignalBlocker>
#include <QVBoxLayout>

#include <algorithm>

namespace bitsmith::ui {

FormatList::FormatList(QWidget* parent)
    : QWidget(parent)
{
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    for (const FormatInfo& format : format_catalog()) {
        Row row{format.id, new QCheckBox(toQString(format.title)),
            mutedLabel(toQString(format.layout)), toQString(format.layout)};
        row.box->setObjectName(QString(QLatin1String("format_") + toQString(format.id)));
        row.box->setToolTip(tr("%1\nHolds: %2\nParameter: %3")
                                .arg(row.layout, toQString(format.accepts), toQString(format.id)));
        row.box->setAccessibleDescription(row.layout);
        row.note->setIndent(24);
        row.note->setContentsMargins(0, 0, 0, 4);
        connect(row.box, &QCheckBox::toggled, this, &FormatList::onToggled);
        layout->addWidget(row.box);
        layout->addWidget(row.note);
        m_rows.push_back(std::move(row));
    }
}

void FormatList::setFormats(const std::vector<std::string>& ids)
{
    for (Row& row : m_rows) {
        const QSignalBlocker blocker(row.box);
        row.box->setChecked(std::find(ids.begin(), ids.end(), row.id) != ids.end());
    }
}

void FormatList::setScheme(const Scheme* scheme)
{
    for (Row& row : m_rows) {
        const QString refusal =
            scheme != nullptr ? toQString(format_refusal(row.id, *scheme)) : QString();
        // A ticked format stays clickable, so that it can be unticked.
        row.box->setEnabled(refusal.isEmpty() || row.box->isChecked());
        row.note->setText(refusal.isEmpty() ? row.layout : tr("Not possible: %1").arg(refusal));
    }
}

void FormatList::onToggled()
{
    std::vector<std::string> ids;
    for (const Row& row : m_rows) {
        if (row.box->isChecked()) {
            ids.push_back(row.id);
        }
    }
    Q_EMIT formatsEdited(ids);
}

} // namespace bitsmith::ui
