// SPDX-License-Identifier: GPL-3.0-or-later
// Log of a run with a filter; follows the newest line while the view stands at the end.
#pragma once

#include <QWidget>

class QLineEdit;
class QSortFilterProxyModel;
class QTableView;

namespace bitsmith::ui {

class LogModel;

class LogView : public QWidget
{
    Q_OBJECT

public:
    explicit LogView(LogModel* model, QWidget* parent = nullptr);

private:
    void copySelection() const;

    QSortFilterProxyModel* m_proxy;
    QTableView* m_table;
    QLineEdit* m_filter;
    bool m_atEnd = true;
};

/// A table view as all pages use it: whole rows, fixed row height, no grid.
QTableView* makeTable(const QString& name, const QString& accessibleName);

} // namespace bitsmith::ui
