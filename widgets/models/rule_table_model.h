// SPDX-License-Identifier: GPL-3.0-or-later
// Rules that give layers another scheme or keep them at 16 bits, with the number of layers that each
// pattern matches. A rule with the scheme "keep" is the spec's keep list.
#pragma once

#include "widgets/state/job_draft.h"

#include <QAbstractTableModel>

namespace bitsmith::ui {

class RuleTableModel : public QAbstractTableModel
{
    Q_OBJECT

public:
    enum Column
    {
        Pattern,
        SchemeName,
        Matches,
        ColumnCount
    };

    explicit RuleTableModel(JobDraft* draft, QObject* parent = nullptr);

    void addRule(const QString& pattern, const QString& scheme);
    void removeRule(int row);

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role) override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;
    QVariant headerData(
        int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    void onSpecChanged();
    void store();
    QString matchesText(const std::string& pattern) const;

    JobDraft* m_draft;
    std::vector<Override> m_rules; ///< overrides first, then the keep list
    bool m_storing = false;
};

/// Does `name` match a rule's pattern: the exact name, a glob with * and ?, or a part of the name?
bool matchesPattern(const std::string& pattern, const std::string& name);

} // namespace bitsmith::ui
