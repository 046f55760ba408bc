// SPDX-License-Identifier: GPL-3.0-or-later
// Layers x blocks as a table: a row per module in execution order, a column per block. Experts of a
// mixture share one cell that shows their median.
#pragma once

#include "widgets/state/run_state.h"

#include <QAbstractTableModel>
#include <QHash>

namespace bitsmith::ui {

/// What the colour of a cell says.
enum class CellMeasure
{
    Bits,
    Mse,
    Sqnr,
    Cosine
};
inline constexpr int kCellMeasures = 4;

QString measureTitle(CellMeasure measure);
QString measureText(CellMeasure measure, double value);
/// Measure of one layer; empty when it is not known yet.
std::optional<double> measureOf(const LayerPicture& layer, CellMeasure measure);

class BitMapModel : public QAbstractTableModel
{
    Q_OBJECT

public:
    enum Role
    {
        ValueRole = Qt::UserRole, ///< double, invalid when not known
        PositionRole, ///< place on the colour scale, 0 to 1, invalid when not known
        StateRole, ///< int of PartState: Waiting (planned), Active (block in work), Done
        PresentRole, ///< bool: the block has such a layer
        ExceptionRole, ///< bool: another scheme than most layers
        LayerRole ///< index of the first layer of the cell, -1 when there is none
    };

    explicit BitMapModel(RunState* state, QObject* parent = nullptr);

    CellMeasure measure() const { return m_measure; }
    void setMeasure(CellMeasure measure);
    /// Smallest and largest known value of the measure; empty while nothing is known.
    std::optional<std::pair<double, double>> valueRange() const { return m_range; }
    /// Layers outside the blocks with their bits: "lm_head 16".
    QString outsideText() const;
    QModelIndex indexOfLayer(int layer) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(
        int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    struct Cell
    {
        std::vector<int> layers;
    };

    void rebuild();
    void onLayersChanged(int first, int last);
    void onBlocksChanged(int first, int last);
    bool extendRange(int first, int last);
    const Cell& cellAt(const QModelIndex& index) const;
    std::optional<double> valueOf(const Cell& cell) const;
    std::optional<double> positionOf(double value) const;
    int stateOf(const Cell& cell, int block) const;
    QString toolTip(const Cell& cell) const;
    void emitAll(const QList<int>& roles);

    RunState* m_state;
    CellMeasure m_measure = CellMeasure::Bits;
    QStringList m_modules;
    std::vector<Cell> m_cells; ///< row major
    int m_columns = 0;
    QString m_usualScheme;
    std::optional<std::pair<double, double>> m_range;
};

} // namespace bitsmith::ui
