// SPDX-License-Identifier: GPL-3.0-or-later
// Log lines and warnings of a run, the newest last. Rows follow the ring of RunPicture.
#pragma once

#include "widgets/state/run_state.h"

#include <QAbstractTableModel>

namespace bitsmith::ui {

class LogModel : public QAbstractTableModel
{
    Q_OBJECT

public:
    enum Column
    {
        Time,
        Area,
        Text,
        ColumnCount
    };
    static constexpr int WarningRole = Qt::UserRole; ///< bool

    explicit LogModel(RunState* state, QObject* parent = nullptr);

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(
        int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    void onReset();
    void onLogChanged();

    RunState* m_state;
    int m_rows = 0;
    int64_t m_dropped = 0;
};

} // namespace bitsmith::ui
