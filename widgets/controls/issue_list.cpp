// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/controls/issue_list.h"

#include "widgets/text/error_text.h"
#include "widgets/text/field_text.h"
#include "widgets/text/format_text.h"
#include "widgets/theme/icons.h"
#include "widgets/theme/theme.h"

#include <QEvent>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace bitsmith::ui {

namespace {

struct Look
{
    Icon icon;
    ColorRole role;
};

Look lookOf(Severity severity)
{
    switch (severity) {
    case Severity::Error:
        return {Icon::Error, ColorRole::Bad};
    case Severity::Warning:
        return {Icon::Warning, ColorRole::Caution};
    case Severity::Info:
        break;
    }
    return {Icon::Info, ColorRole::Muted};
}

QLabel* iconLabel(const QWidget& owner, Icon icon, ColorRole role)
{
    auto* label = new QLabel;
    const int side = owner.fontMetrics().height() + 2;
    label->setPixmap(coloredIcon(icon, roleColor(owner.palette(), role)).pixmap(side, side));
    label->setAlignment(Qt::AlignTop);
    return label;
}

} // namespace

IssueList::IssueList(QWidget* parent)
    : QWidget(parent)
    , m_layout(new QVBoxLayout(this))
{
    setObjectName(QStringLiteral("issueList"));
    setAccessibleName(tr("Checks"));
    m_layout->setContentsMargins(0, 0, 0, 0);
    m_layout->setSpacing(8);
    rebuild();
}

void IssueList::setIssues(const std::vector<Issue>& issues)
{
    if (m_filled && issues == m_issues) {
        return;
    }
    m_filled = true;
    m_issues = issues;
    rebuild();
}

void IssueList::rebuild()
{
    while (QLayoutItem* item = m_layout->takeAt(0)) {
        if (item->widget() != nullptr) {
            item->widget()->deleteLater();
            item->widget()->hide();
        }
        delete item;
    }
    if (m_issues.empty()) {
        auto* row = new QWidget;
        auto* layout = new QHBoxLayout(row);
        layout->setContentsMargins(0, 0, 0, 0);
        layout->addWidget(iconLabel(*this, Icon::Check, ColorRole::Good));
        layout->addWidget(new QLabel(tr("No problem found")), 1);
        m_layout->addWidget(row);
    }
    for (std::size_t i = 0; i < m_issues.size(); ++i) {
        m_layout->addWidget(makeRow(m_issues[i], static_cast<int>(i)));
    }
}

QWidget* IssueList::makeRow(const Issue& issue, int index)
{
    auto* row = new QWidget;
    row->setObjectName(QStringLiteral("issue%1").arg(index));
    const Look look = lookOf(issue.severity);
    auto* text = new QLabel(toQString(issue.message));
    text->setWordWrap(true);
    text->setTextFormat(Qt::PlainText);
    text->setTextInteractionFlags(Qt::TextSelectableByMouse);
    text->setToolTip(tr("Rule %1, field %2").arg(toQString(issue.id), toQString(issue.field)));
    row->setAccessibleName(severityText(issue.severity) + QLatin1String(": ") + text->text());
    auto* column = new QVBoxLayout;
    column->setSpacing(4);
    column->addWidget(text);
    if (!issue.fix_value.empty() && !issue.field.empty()) {
        const std::string key = issue.field.substr(issue.field.rfind('.') + 1);
        auto* fix =
            new QPushButton(tr("Set %1 to %2").arg(fieldTitle(key), toQString(issue.fix_value)));
        fix->setObjectName(QStringLiteral("issueFix%1").arg(index));
        connect(fix, &QPushButton::clicked, this, [this, issue] { Q_EMIT fixRequested(issue); });
        column->addWidget(fix, 0, Qt::AlignLeft);
    }
    auto* layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    layout->addWidget(iconLabel(*this, look.icon, look.role), 0, Qt::AlignTop);
    layout->addLayout(column, 1);
    return row;
}

void IssueList::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange) {
        rebuild();
    }
}

} // namespace bitsmith::ui
