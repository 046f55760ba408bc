// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/models/layer_table_model.h"

#include "widgets/text/format_text.h"

#include <limits>

namespace bitsmith::ui {

namespace {

std::optional<double> numberOf(const LayerPicture& layer, int column)
{
    const auto& result = layer.result;
    switch (column) {
    case LayerTableModel::Block:
        return layer.block;
    case LayerTableModel::Shape:
        return static_cast<double>(layer.rows) * static_cast<double>(layer.columns);
    case LayerTableModel::Bits:
        return layer.bits;
    case LayerTableModel::Mse:
        return result ? std::optional(result->mse) : std::nullopt;
    case LayerTableModel::Sqnr:
        return result ? std::optional(result->sqnr_db) : std::nullopt;
    case LayerTableModel::Cosine:
        return result ? std::optional(result->cosine) : std::nullopt;
    case LayerTableModel::OutSqnr:
        return result ? result->out_sqnr_db : std::nullopt;
    default:
        return std::nullopt;
    }
}

bool isText(int column)
{
    return column == LayerTableModel::Name || column == LayerTableModel::SchemeName
        || column == LayerTableModel::Note;
}

} // namespace

LayerTableModel::LayerTableModel(RunState* state, QObject* parent)
    : QAbstractTableModel(parent)
    , m_state(state)
{
    connect(state, &RunState::cleared, this, &LayerTableModel::onReset);
    connect(state, &RunState::planChanged, this, &LayerTableModel::onReset);
    connect(state, &RunState::layersChanged, this, &LayerTableModel::onLayersChanged);
    m_rows = static_cast<int>(state->picture().layers.size());
}

void LayerTableModel::onReset()
{
    beginResetModel();
    m_rows = static_cast<int>(m_state->picture().layers.size());
    endResetModel();
}

void LayerTableModel::onLayersChanged(int first, int last)
{
    Q_EMIT dataChanged(index(first, 0), index(last, ColumnCount - 1));
}

int LayerTableModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : m_rows;
}

int LayerTableModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : ColumnCount;
}

QString LayerTableModel::text(const LayerPicture& layer, int column) const
{
    const auto number = numberOf(layer, column);
    switch (column) {
    case Block:
        return layer.block < 0 ? unknownValue() : QString::number(layer.block);
    case Name:
        return layer.module;
    case Shape:
        return layer.rows > 0 ? formatShape(layer.rows, layer.columns) : unknownValue();
    case SchemeName:
        return layer.scheme;
    case Bits:
        return formatFixed(layer.bits, 2);
    case Note:
        return layer.reason;
    case Cosine:
        return number ? formatFixed(*number, 5) : unknownValue();
    case Sqnr:
    case OutSqnr:
        return number ? tr("%1 dB").arg(formatFixed(*number, 1)) : unknownValue();
    default:
        return number ? formatReal(*number) : unknownValue();
    }
}

QVariant LayerTableModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid()) {
        return {};
    }
    const LayerPicture& layer = m_state->picture().layers[static_cast<std::size_t>(index.row())];
    if (role == Qt::DisplayRole) {
        return text(layer, index.column());
    }
    if (role == NameRole || (role == Qt::ToolTipRole && index.column() == Name)) {
        return layer.name;
    }
    if (role == Qt::ToolTipRole && isText(index.column())) {
        return text(layer, index.column());
    }
    if (role == SortRole) {
        if (isText(index.column())) {
            return text(layer, index.column());
        }
        return numberOf(layer, index.column()).value_or(std::numeric_limits<double>::lowest());
    }
    if (role == Qt::TextAlignmentRole) {
        return static_cast<int>(
            Qt::AlignVCenter | (isText(index.column()) ? Qt::AlignLeft : Qt::AlignRight));
    }
    return {};
}

QVariant LayerTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal) {
        return {};
    }
    if (role == Qt::TextAlignmentRole) {
        return static_cast<int>(
            Qt::AlignVCenter | (isText(section) ? Qt::AlignLeft : Qt::AlignRight));
    }
    if (role == Qt::ToolTipRole) {
        switch (section) {
        case Mse:
            return tr("Mean squared difference between original and quantized weights");
        case Sqnr:
            return tr("Signal to quantization noise of the weights; more is better");
        case Cosine:
            return tr("Cosine between original and quantized weights; 1 is equal");
        case OutSqnr:
            return tr("Signal to noise of the layer's output on calibration inputs");
        case Bits:
            return tr("Bits per weight, scales and zero points included");
        default:
            return {};
        }
    }
    if (role != Qt::DisplayRole) {
        return {};
    }
    switch (section) {
    case Block:
        return tr("Block");
    case Name:
        return tr("Layer");
    case Shape:
        return tr("Shape");
    case SchemeName:
        return tr("Scheme");
    case Bits:
        return tr("Bits");
    case Mse:
        return tr("MSE");
    case Sqnr:
        return tr("SQNR");
    case Cosine:
        return tr("Cosine");
    case OutSqnr:
        return tr("Out SQNR");
    default:
        return tr("Why");
    }
}

} // namespace bitsmith::ui
