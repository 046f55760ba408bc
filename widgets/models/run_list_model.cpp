// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/models/run_list_model.h"

#include "widgets/text/format_text.h"
#include "widgets/text/run_text.h"

#include <QDateTime>

namespace bitsmith::ui {

RunListModel::RunListModel(QObject* parent)
    : QAbstractListModel(parent)
{ }

void RunListModel::setRuns(std::vector<RunSummary> runs)
{
    beginResetModel();
    m_runs = std::move(runs);
    endResetModel();
}

bool RunListModel::canResume(const RunSummary& run)
{
    return run.state == JobState::Interrupted || run.state == JobState::Failed
        || run.state == JobState::Cancelled;
}

QString RunListModel::ageText(int row) const
{
    const int64_t now = m_nowMs != 0 ? m_nowMs : QDateTime::currentMSecsSinceEpoch();
    return formatAge(run(row).created_ms, now);
}

QString RunListModel::progressText(int row) const
{
    const RunSummary& summary = run(row);
    if (summary.state == JobState::Done) {
        return formatBytes(summary.bytes);
    }
    return tr("%1 of %2 blocks").arg(summary.blocks_done).arg(summary.blocks);
}

int RunListModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_runs.size());
}

QVariant RunListModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid()) {
        return {};
    }
    const RunSummary& summary = run(index.row());
    const QString model = shortModelName(toQString(summary.model));
    switch (role) {
    case Qt::DisplayRole:
        return model.isEmpty() ? toQString(summary.name) : model;
    case Qt::ToolTipRole:
    case FolderRole:
        return QString::fromStdString(summary.folder.string());
    case Qt::AccessibleTextRole:
        return tr("%1, %2, %3, %4")
            .arg(
                model, toQString(summary.scheme), lookOf(summary.state).text, ageText(index.row()));
    default:
        return {};
    }
}

} // namespace bitsmith::ui
