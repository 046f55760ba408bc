// SPDX-License-Identifier: GPL-3.0-or-later
// Run folders, newest first.
#pragma once

#include <bitsmith/run_reader.h>

#include <QAbstractListModel>

namespace bitsmith::ui {

class RunListModel : public QAbstractListModel
{
    Q_OBJECT

public:
    static constexpr int FolderRole = Qt::UserRole; ///< QString

    explicit RunListModel(QObject* parent = nullptr);

    void setRuns(std::vector<RunSummary> runs);
    const RunSummary& run(int row) const { return m_runs[static_cast<std::size_t>(row)]; }
    /// Interrupted, failed and cancelled runs continue where they stopped.
    static bool canResume(const RunSummary& run);
    /// Time that ages are told against; 0: now. For pictures and tests.
    void setNow(int64_t nowMs) { m_nowMs = nowMs; }
    QString ageText(int row) const;
    QString progressText(int row) const;

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

private:
    std::vector<RunSummary> m_runs;
    int64_t m_nowMs = 0;
};

} // namespace bitsmith::ui
