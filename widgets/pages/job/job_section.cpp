// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/job_section.h"

#include "widgets/text/format_text.h"
#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QLabel>

namespace bitsmith::ui {

JobSection::JobSection(JobDraft* draft, const QString& title, std::string_view fields)
    : Card(title)
    , m_draft(draft)
    , m_fields(fields)
    , m_problems(new QLabel)
{
    header()->addWidget(m_problems);
    m_problems->hide();
}

void JobSection::startRefreshing()
{
    connect(m_draft, &JobDraft::specChanged, this, [this] { refresh(); });
    connect(m_draft, &JobDraft::modelChanged, this, [this] { refresh(); });
    connect(m_draft, &JobDraft::issuesChanged, this, &JobSection::showProblems);
    refresh();
}

void JobSection::showProblems()
{
    const std::string prefix = m_fields + ".";
    const Issue* first = nullptr;
    if (m_form != nullptr) {
        for (const std::string& key : m_marked) {
            m_form->setProblem(key, {});
        }
    }
    m_marked.clear();
    for (const Issue& issue : m_draft->issues()) {
        if (issue.severity == Severity::Info || issue.field.rfind(prefix, 0) != 0) {
            continue;
        }
        first = first == nullptr ? &issue : first;
        if (m_form != nullptr && issue.severity == Severity::Error) {
            m_marked.push_back(issue.field.substr(prefix.size()));
            m_form->setProblem(m_marked.back(), toQString(issue.message));
        }
    }
    m_problems->setVisible(first != nullptr);
    if (first != nullptr) {
        const bool error = first->severity == Severity::Error;
        const int side = fontMetrics().height() + 2;
        m_problems->setPixmap(coloredIcon(error ? Icon::Error : Icon::Warning,
            roleColor(palette(), error ? ColorRole::Bad : ColorRole::Caution))
                                  .pixmap(side, side));
        m_problems->setToolTip(toQString(first->message));
        m_problems->setAccessibleName(toQString(first->message));
    }
}

} // namespace bitsmith::ui
