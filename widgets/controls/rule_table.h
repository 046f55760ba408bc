// SPDX-License-Identifier: GPL-3.0-or-later
// Editor of the per-layer rules: pattern, scheme, number of layers matched.
#pragma once

#include <QWidget>

class QTableView;

namespace bitsmith::ui {

class RuleTableModel;

class RuleTable : public QWidget
{
    Q_OBJECT

public:
    explicit RuleTable(RuleTableModel* model, QWidget* parent = nullptr);

private:
    void onAddClicked();
    void onRemoveClicked();

    RuleTableModel* m_model;
    QTableView* m_table;
};

} // namespace bitsmith::ui
