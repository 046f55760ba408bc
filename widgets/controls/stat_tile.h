// SPDX-License-Identifier: GPL-3.0-or-later
// One figure with its caption and a note below.
#pragma once

#include <QWidget>

class QLabel;

namespace bitsmith::ui {

class StatTile : public QWidget
{
    Q_OBJECT

public:
    StatTile(const QString& objectName, const QString& caption, QWidget* parent = nullptr);

    /// `note` may be empty; the tile keeps its height.
    void setValue(const QString& value, const QString& note = {});
    QString value() const;

private:
    QLabel* m_caption;
    QLabel* m_value;
    QLabel* m_note;
};

} // namespace bitsmith::ui
