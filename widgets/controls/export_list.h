// SPDX-License-Identifier: GPL-3.0-or-later
// Files that a run has written, with size, check result and a button that shows them.
#pragma once

#include <bitsmith/event.h>

#include <QWidget>

class QVBoxLayout;

namespace bitsmith::ui {

class ExportList : public QWidget
{
    Q_OBJECT

public:
    explicit ExportList(QWidget* parent = nullptr);

    void setExports(const std::vector<ExportFinished>& exports);

Q_SIGNALS:
    void openRequested(const QString& path);

private:
    QWidget* makeRow(const ExportFinished& item, int index);

    QVBoxLayout* m_layout;
    std::vector<ExportFinished> m_shown;
};

} // namespace bitsmith::ui
