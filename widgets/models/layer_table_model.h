// SPDX-License-Identifier: GPL-3.0-or-later
// All layers of a run with their scheme and errors.
#pragma once

#include "widgets/state/run_state.h"

#include <QAbstractTableModel>

namespace bitsmith::ui {

class LayerTableModel : public QAbstractTableModel
{
    Q_OBJECT

public:
    enum Column
    {
        Block,
        Name, ///< module; the whole name is the tooltip
        SchemeName,
        Bits,
        Mse,
        Sqnr,
        Cosine,
        OutSqnr,
        Shape,
        Note,
        ColumnCount
    };
    /// Number or text to sort by; a missing value is a very small number.
    static constexpr int SortRole = Qt::UserRole;
    static constexpr int NameRole = Qt::UserRole + 1; ///< whole name of the layer

    explicit LayerTableModel(RunState* state, QObject* parent = nullptr);

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(
        int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    void onReset();
    void onLayersChanged(int first, int last);
    QString text(const LayerPicture& layer, int column) const;

    RunState* m_state;
    int m_rows = 0; ///< rows the views know of
};

} // namespace bitsmith::ui
