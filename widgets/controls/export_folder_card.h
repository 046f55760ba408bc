// SPDX-License-Identifier: GPL-3.0-or-later
// Where exports are written to, and whether there is room for them.
#pragma once

#include "widgets/controls/card.h"

#include <optional>

namespace bitsmith::ui {

class PathEdit;
class StateChip;

class ExportFolderCard : public Card
{
    Q_OBJECT

public:
    explicit ExportFolderCard(const QString& folder, QWidget* parent = nullptr);

    QString folder() const;
    /// A folder is named, and what is needed fits into what is known to be free.
    bool isReady() const;
    /// Bytes of what will be written; nothing: nothing is chosen.
    void setNeeded(std::optional<qint64> bytes);
    /// Until setFreeSpace says it, the free space is not known.
    void forgetFreeSpace();
    /// Negative: not known. What is said of another folder is dropped.
    void setFreeSpace(const QString& folder, qint64 bytes);

Q_SIGNALS:
    void folderChanged(const QString& folder);

private:
    bool isTooSmall() const;
    void refresh();

    PathEdit* m_folder;
    QLabel* m_space;
    StateChip* m_noSpace;
    std::optional<qint64> m_neededBytes;
    std::optional<qint64> m_freeBytes;
};

} // namespace bitsmith::ui
