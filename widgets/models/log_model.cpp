// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/models/log_model.h"

#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <QDateTime>
#include <QGuiApplication>

namespace bitsmith::ui {

LogModel::LogModel(RunState* state, QObject* parent)
    : QAbstractTableModel(parent)
    , m_state(state)
{
    connect(state, &RunState::cleared, this, &LogModel::onReset);
    connect(state, &RunState::logChanged, this, &LogModel::onLogChanged);
    onReset();
}

void LogModel::onReset()
{
    beginResetModel();
    m_rows = static_cast<int>(m_state->picture().log.size());
    m_dropped = m_state->picture().droppedLog;
    endResetModel();
}

void LogModel::onLogChanged()
{
    const auto size = static_cast<int>(m_state->picture().log.size());
    if (m_state->picture().droppedLog != m_dropped || size < m_rows) {
        onReset();
        return;
    }
    if (size > m_rows) {
        beginInsertRows({}, m_rows, size - 1);
        m_rows = size;
        endInsertRows();
    }
}

int LogModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : m_rows;
}

int LogModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : ColumnCount;
}

QVariant LogModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid()) {
        return {};
    }
    const LogRecord& record = m_state->picture().log[static_cast<std::size_t>(index.row())];
    if (role == WarningRole) {
        return record.warning;
    }
    if (role == Qt::DecorationRole && index.column() == Area && record.warning) {
        return coloredIcon(
            Icon::Warning, roleColor(QGuiApplication::palette(), ColorRole::Caution));
    }
    if (role != Qt::DisplayRole && role != Qt::ToolTipRole) {
        return {};
    }
    switch (index.column()) {
    case Time:
        return QLocale().toString(
            QDateTime::fromMSecsSinceEpoch(record.timeMs).time(), QStringLiteral("HH:mm:ss"));
    case Area:
        return record.area;
    default:
        return record.text;
    }
}

QVariant LogModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole) {
        return {};
    }
    return section == Time ? tr("Time") : section == Area ? tr("Part") : tr("Message");
}

} // namespace bitsmith::ui
