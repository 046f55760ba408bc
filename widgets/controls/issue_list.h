// SPDX-License-Identifier: GPL-3.0-or-later
// What `check` found about a job, errors first, with a button for issues that have a single fix.
#pragma once

#include <bitsmith/error.h>

#include <QWidget>

class QVBoxLayout;

namespace bitsmith::ui {

class IssueList : public QWidget
{
    Q_OBJECT

public:
    explicit IssueList(QWidget* parent = nullptr);

    void setIssues(const std::vector<Issue>& issues);
    int count() const { return static_cast<int>(m_issues.size()); }

Q_SIGNALS:
    void fixRequested(const bitsmith::Issue& issue);

protected:
    void changeEvent(QEvent* event) override;

private:
    void rebuild();
    QWidget* makeRow(const Issue& issue, int index);

    QVBoxLayout* m_layout;
    std::vector<Issue> m_issues;
    bool m_filled = false;
};

} // namespace bitsmith::ui
