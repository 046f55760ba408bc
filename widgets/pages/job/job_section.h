// SPDX-License-Identifier: GPL-3.0-or-later
// Base of the sections of the New job page: a card that shows one part of the draft.
#pragma once

#include "widgets/controls/card.h"
#include "widgets/controls/option_form.h"
#include "widgets/state/job_draft.h"

class QLabel;

namespace bitsmith::ui {

class JobSection : public Card
{
    Q_OBJECT

public:
    /// `fields` is the section of the spec whose issues are shown here, for example "recipe".
    JobSection(JobDraft* draft, const QString& title, std::string_view fields);

protected:
    JobDraft* draft() const { return m_draft; }
    /// Called after every change of the spec and once after construction (by refreshSoon).
    virtual void refresh() = 0;
    /// Runs refresh now and connects it to later changes; for constructors of derived classes.
    void startRefreshing();
    /// The form whose rows are marked when an issue names one of its fields.
    void setForm(OptionForm* form) { m_form = form; }

private:
    void showProblems();

    JobDraft* m_draft;
    std::string m_fields;
    QLabel* m_problems;
    OptionForm* m_form = nullptr;
    std::vector<std::string> m_marked;
};

} // namespace bitsmith::ui
