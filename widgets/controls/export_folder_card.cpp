// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/export_folder_card.h"

#include "widgets/controls/path_edit.h"
#include "widgets/controls/state_chip.h"
#include "widgets/text/format_text.h"

#include <QLabel>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

ExportFolderCard::ExportFolderCard(const QString& folder, QWidget* parent)
    : Card(tr("Folder"), parent)
    , m_folder(new PathEdit(PathEdit::Kind::Folder, u"exportFolder"_s))
    , m_space(mutedLabel({}))
    , m_noSpace(new StateChip)
{
    m_folder->setAccessibleLabel(tr("Folder that the exports are written into"));
    m_folder->setPath(folder);
    connect(m_folder, &PathEdit::pathChanged, this, &ExportFolderCard::folderChanged);
    m_space->setObjectName(u"exportSpaceLabel"_s);
    m_noSpace->setObjectName(u"exportNoSpaceChip"_s);
    m_noSpace->setLook({tr("Not enough space"), Icon::Warning, ColorRole::Bad});
    auto* space = new QHBoxLayout;
    space->addWidget(m_noSpace);
    space->addWidget(m_space, 1);
    body()->addWidget(m_folder);
    body()->addLayout(space);
    refresh();
}

QString ExportFolderCard::folder() const
{
    return m_folder->path();
}

bool ExportFolderCard::isTooSmall() const
{
    return m_neededBytes && m_freeBytes && *m_neededBytes > *m_freeBytes;
}

bool ExportFolderCard::isReady() const
{
    return !folder().isEmpty() && !isTooSmall();
}

void ExportFolderCard::setNeeded(std::optional<qint64> bytes)
{
    m_neededBytes = bytes;
    refresh();
}

void ExportFolderCard::forgetFreeSpace()
{
    m_freeBytes.reset();
    refresh();
}

void ExportFolderCard::setFreeSpace(const QString& folder, qint64 bytes)
{
    if (folder == m_folder->path() && bytes >= 0) {
        m_freeBytes = bytes;
        refresh();
    }
}

void ExportFolderCard::refresh()
{
    const QString free = m_freeBytes ? formatBytes(*m_freeBytes) : unknownValue();
    m_noSpace->setVisible(isTooSmall());
    m_space->setText(m_neededBytes
            ? tr("Needed: at most %1. Free: %2.").arg(formatBytes(*m_neededBytes), free)
            : tr("Free: %1. Tick the formats to write.").arg(free));
}

} // namespace bitsmith::ui
