// SPDX-License-Identifier: GPL-3.0-or-later
// Right side of the New job page: what the job will give and need, its issues, and Start.
#pragma once

#include "widgets/controls/card.h"
#include "widgets/state/job_draft.h"

class QPushButton;

namespace bitsmith::ui {

class IssueList;
class StatTile;

class JobSummary : public QWidget
{
    Q_OBJECT

public:
    explicit JobSummary(JobDraft* draft);

    void setBusy(bool busy);

Q_SIGNALS:
    void startRequested();
    void saveRequested();
    void openJobRequested();

private:
    Card* buildFigures();
    Card* buildChecks();
    QWidget* buildButtons();
    void refresh();
    void applyFix(const Issue& issue);
    void copyCommand();

    JobDraft* m_draft;
    bool m_busy = false;
    StatTile* m_bits;
    StatTile* m_output;
    StatTile* m_memory;
    StatTile* m_disk;
    IssueList* m_issues;
    QPushButton* m_start;
    QLabel* m_hint;
};

} // namespace bitsmith::ui
