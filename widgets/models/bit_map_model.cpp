// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/models/bit_map_model.h"

#include "widgets/text/format_text.h"
#include "widgets/theme/color_scale.h"

#include <QStringList>

#include <algorithm>
#include <cmath>
#include <map>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

/// Value on the axis along which colours are spread.
double scaled(CellMeasure measure, double value)
{
    switch (measure) {
    case CellMeasure::Mse:
        return std::log10(std::max(value, 1e-30));
    case CellMeasure::Cosine:
        return std::log10(std::max(1 - value, 1e-12));
    case CellMeasure::Sqnr:
        return -value; // less signal is worse
    case CellMeasure::Bits:
        break;
    }
    return value;
}

QString mostFrequentScheme(const std::vector<LayerPicture>& layers)
{
    std::map<QString, int> counts;
    for (const LayerPicture& layer : layers) {
        ++counts[layer.scheme];
    }
    const auto most = std::max_element(counts.begin(), counts.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == counts.end() ? QString() : most->first;
}

} // namespace

QString measureTitle(CellMeasure measure)
{
    switch (measure) {
    case CellMeasure::Bits:
        return BitMapModel::tr("Bits");
    case CellMeasure::Mse:
        return BitMapModel::tr("Weight MSE");
    case CellMeasure::Sqnr:
        return BitMapModel::tr("SQNR");
    case CellMeasure::Cosine:
        break;
    }
    return BitMapModel::tr("Cosine");
}

QString measureText(CellMeasure measure, double value)
{
    switch (measure) {
    case CellMeasure::Bits:
        return formatFixed(value, 2);
    case CellMeasure::Mse:
        return formatReal(value);
    case CellMeasure::Sqnr:
        return BitMapModel::tr("%1 dB").arg(formatFixed(value, 1));
    case CellMeasure::Cosine:
        break;
    }
    return formatFixed(value, 5);
}

std::optional<double> measureOf(const LayerPicture& layer, CellMeasure measure)
{
    if (measure == CellMeasure::Bits) {
        return layer.bits;
    }
    if (!layer.result) {
        return std::nullopt;
    }
    const double value = measure == CellMeasure::Mse ? layer.result->mse
        : measure == CellMeasure::Sqnr               ? layer.result->sqnr_db
                                                     : layer.result->cosine;
    return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

BitMapModel::BitMapModel(RunState* state, QObject* parent)
    : QAbstractTableModel(parent)
    , m_state(state)
{
    connect(state, &RunState::cleared, this, &BitMapModel::rebuild);
    connect(state, &RunState::planChanged, this, &BitMapModel::rebuild);
    connect(state, &RunState::layersChanged, this, &BitMapModel::onLayersChanged);
    connect(state, &RunState::blocksChanged, this, &BitMapModel::onBlocksChanged);
    rebuild();
}

void BitMapModel::setMeasure(CellMeasure measure)
{
    if (measure == m_measure) {
        return;
    }
    m_measure = measure;
    m_range.reset();
    extendRange(0, static_cast<int>(m_state->picture().layers.size()) - 1);
    emitAll({});
}

void BitMapModel::rebuild()
{
    beginResetModel();
    const RunPicture& run = m_state->picture();
    m_modules.clear();
    m_columns = static_cast<int>(run.blocks.size());
    for (const LayerPicture& layer : run.layers) {
        m_columns = std::max(m_columns, layer.block + 1);
    }
    QHash<QString, int> rows;
    for (const LayerPicture& layer : run.layers) {
        if (layer.block >= 0 && !rows.contains(layer.module)) {
            rows.insert(layer.module, static_cast<int>(m_modules.size()));
            m_modules << layer.module;
        }
    }
    m_cells.assign(static_cast<std::size_t>(m_modules.size() * m_columns), {});
    for (std::size_t i = 0; i < run.layers.size(); ++i) {
        const LayerPicture& layer = run.layers[i];
        if (layer.block >= 0) {
            const int at = rows.value(layer.module) * m_columns + layer.block;
            m_cells[static_cast<std::size_t>(at)].layers.push_back(static_cast<int>(i));
        }
    }
    m_usualScheme = mostFrequentScheme(run.layers);
    m_range.reset();
    extendRange(0, static_cast<int>(run.layers.size()) - 1);
    endResetModel();
}

void BitMapModel::onLayersChanged(int first, int last)
{
    if (extendRange(first, last)) {
        emitAll({});
        return;
    }
    const auto& layers = m_state->picture().layers;
    int firstColumn = m_columns;
    int lastColumn = -1;
    for (int i = first; i <= last; ++i) {
        const int block = layers[static_cast<std::size_t>(i)].block;
        if (block >= 0) {
            firstColumn = std::min(firstColumn, block);
            lastColumn = std::max(lastColumn, block);
        }
    }
    if (lastColumn >= firstColumn) {
        Q_EMIT dataChanged(index(0, firstColumn), index(rowCount() - 1, lastColumn));
    }
}

void BitMapModel::onBlocksChanged(int first, int last)
{
    if (rowCount() > 0 && first < m_columns) {
        Q_EMIT dataChanged(
            index(0, first), index(rowCount() - 1, std::min(last, m_columns - 1)), {StateRole});
    }
}

bool BitMapModel::extendRange(int first, int last)
{
    const auto old = m_range;
    const auto& layers = m_state->picture().layers;
    for (int i = first; i <= last; ++i) {
        const auto value = measureOf(layers[static_cast<std::size_t>(i)], m_measure);
        if (!value) {
            continue;
        }
        if (!m_range) {
            m_range = {*value, *value};
        }
        m_range->first = std::min(m_range->first, *value);
        m_range->second = std::max(m_range->second, *value);
    }
    return m_range != old && m_measure != CellMeasure::Bits;
}

void BitMapModel::emitAll(const QList<int>& roles)
{
    if (!m_cells.empty()) {
        Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, m_columns - 1), roles);
    }
}

QString BitMapModel::outsideText() const
{
    QStringList parts;
    for (const LayerPicture& layer : m_state->picture().layers) {
        if (layer.block < 0) {
            parts << tr("%1 %2 bits")
                         .arg(layer.name, formatFixed(layer.bits, layer.bits < 16 ? 2 : 0));
        }
    }
    return parts.join(u", "_s);
}

QModelIndex BitMapModel::indexOfLayer(int layer) const
{
    const auto& layers = m_state->picture().layers;
    if (layer < 0 || layer >= static_cast<int>(layers.size())) {
        return {};
    }
    const LayerPicture& picture = layers[static_cast<std::size_t>(layer)];
    const auto row = m_modules.indexOf(picture.module);
    return row < 0 || picture.block < 0 ? QModelIndex()
                                        : index(static_cast<int>(row), picture.block);
}

int BitMapModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_modules.size());
}

int BitMapModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : m_columns;
}

const BitMapModel::Cell& BitMapModel::cellAt(const QModelIndex& index) const
{
    return m_cells[static_cast<std::size_t>(index.row() * m_columns + index.column())];
}

std::optional<double> BitMapModel::valueOf(const Cell& cell) const
{
    const auto& layers = m_state->picture().layers;
    if (cell.layers.size() == 1) {
        return measureOf(layers[static_cast<std::size_t>(cell.layers.front())], m_measure);
    }
    std::vector<double> values;
    for (const int layer : cell.layers) {
        if (const auto value = measureOf(layers[static_cast<std::size_t>(layer)], m_measure)) {
            values.push_back(*value);
        }
    }
    if (values.empty()) {
        return std::nullopt;
    }
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

std::optional<double> BitMapModel::positionOf(double value) const
{
    if (m_measure == CellMeasure::Bits || !m_range) {
        return std::nullopt;
    }
    const double low = scaled(m_measure, m_range->first);
    const double high = scaled(m_measure, m_range->second);
    const double span = high - low;
    // Yellow is bad for every measure, as few bits are yellow.
    return span == 0 ? 0.5 : (scaled(m_measure, value) - std::min(low, high)) / std::abs(span);
}

int BitMapModel::stateOf(const Cell& cell, int block) const
{
    const RunPicture& run = m_state->picture();
    if (!cell.layers.empty() && run.layers[static_cast<std::size_t>(cell.layers.front())].result) {
        return static_cast<int>(PartState::Done);
    }
    if (block < static_cast<int>(run.blocks.size())) {
        return static_cast<int>(run.blocks[static_cast<std::size_t>(block)].state);
    }
    return static_cast<int>(PartState::Waiting);
}

QString BitMapModel::toolTip(const Cell& cell) const
{
    const auto& layers = m_state->picture().layers;
    const LayerPicture& layer = layers[static_cast<std::size_t>(cell.layers.front())];
    QStringList lines{
        layer.name, tr("%1, %2 bits per weight").arg(layer.scheme, formatFixed(layer.bits, 2))};
    if (cell.layers.size() > 1) {
        lines << tr("%n layers, median shown", nullptr, static_cast<int>(cell.layers.size()));
    }
    if (!layer.reason.isEmpty()) {
        lines << tr("Why: %1").arg(layer.reason);
    }
    if (layer.result) {
        lines << tr("MSE %1, SQNR %2 dB, cosine %3")
                     .arg(formatReal(layer.result->mse), formatFixed(layer.result->sqnr_db, 1),
                         formatFixed(layer.result->cosine, 5));
    } else {
        lines << tr("Not tuned yet");
    }
    return lines.join(QLatin1Char('\n'));
}

QVariant BitMapModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid()) {
        return {};
    }
    const Cell& cell = cellAt(index);
    if (role == PresentRole) {
        return !cell.layers.empty();
    }
    if (cell.layers.empty()) {
        return {};
    }
    const auto value = valueOf(cell);
    switch (role) {
    case Qt::DisplayRole:
        return value ? measureText(m_measure, *value) : QString();
    case Qt::ToolTipRole:
        return toolTip(cell);
    case Qt::AccessibleTextRole:
        return tr("Block %1, %2: %3")
            .arg(index.column())
            .arg(m_modules[index.row()], value ? measureText(m_measure, *value) : tr("not known"));
    case ValueRole:
        return value ? QVariant(*value) : QVariant();
    case PositionRole: {
        const auto position = value ? positionOf(*value) : std::nullopt;
        return position ? QVariant(*position) : QVariant();
    }
    case StateRole:
        return stateOf(cell, index.column());
    case ExceptionRole:
        return m_state->picture().layers[static_cast<std::size_t>(cell.layers.front())].scheme
            != m_usualScheme;
    case LayerRole:
        return cell.layers.front();
    default:
        return {};
    }
}

QVariant BitMapModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation == Qt::Horizontal) {
        return role == Qt::DisplayRole ? QVariant(section)
            : role == Qt::ToolTipRole  ? QVariant(tr("Block %1").arg(section))
                                       : QVariant();
    }
    if (section >= m_modules.size()) {
        return {};
    }
    if (role == Qt::DisplayRole) {
        return m_modules[section].section(QLatin1Char('.'), -1);
    }
    return role == Qt::ToolTipRole ? QVariant(m_modules[section]) : QVariant();
}

} // namespace bitsmith::ui
