// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/job_summary.h"

#include "widgets/controls/issue_list.h"
#include "widgets/controls/scroll_area.h"
#include "widgets/controls/stat_tile.h"
#include "widgets/text/format_text.h"
#include "widgets/text/job_command.h"
#include "widgets/theme/icons.h"

#include <bitsmith/spec_json.h>

#include <QClipboard>
#include <QGridLayout>
#include <QGuiApplication>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

JobSummary::JobSummary(JobDraft* draft)
    : m_draft(draft)
    , m_bits(new StatTile(u"averageBitsTile"_s, tr("Average bits")))
    , m_output(new StatTile(u"outputSizeTile"_s, tr("Output")))
    , m_memory(new StatTile(u"memoryNeedTile"_s, tr("Memory")))
    , m_disk(new StatTile(u"diskNeedTile"_s, tr("Run folder")))
    , m_issues(new IssueList)
    , m_start(new QPushButton(coloredIcon(Icon::Play, Qt::white), tr(" Start")))
    , m_hint(mutedLabel({}))
{
    setObjectName(u"jobSummary"_s);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(12);
    layout->addWidget(buildFigures());
    layout->addWidget(buildChecks(), 1);
    layout->addWidget(buildButtons());
    connect(draft, &JobDraft::specChanged, this, &JobSummary::refresh);
    connect(draft, &JobDraft::modelChanged, this, &JobSummary::refresh);
    connect(draft, &JobDraft::issuesChanged, this, &JobSummary::refresh);
    connect(m_issues, &IssueList::fixRequested, this, &JobSummary::applyFix);
    refresh();
}

Card* JobSummary::buildFigures()
{
    auto* card = new Card(tr("What you will get"));
    auto* grid = new QGridLayout;
    grid->setHorizontalSpacing(16);
    grid->setVerticalSpacing(8);
    grid->addWidget(m_bits, 0, 0);
    grid->addWidget(m_output, 0, 1);
    grid->addWidget(m_memory, 1, 0);
    grid->addWidget(m_disk, 1, 1);
    grid->setColumnStretch(0, 1);
    grid->setColumnStretch(1, 1);
    card->body()->addLayout(grid);
    return card;
}

Card* JobSummary::buildChecks()
{
    auto* card = new Card(tr("Checks"));
    auto* content = new QWidget;
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(0, 0, 6, 0);
    layout->addWidget(m_issues);
    layout->addStretch();
    QScrollArea* area = plainScrollArea(content);
    area->setObjectName(u"checksScroll"_s);
    card->body()->addWidget(area, 1);
    return card;
}

QWidget* JobSummary::buildButtons()
{
    m_start->setObjectName(u"startButton"_s);
    m_start->setProperty("primary", true);
    m_start->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_Return));
    m_start->setMinimumHeight(fontMetrics().height() + 20);
    auto* copy = new QPushButton(themedIcon(Icon::Copy), tr("Copy command line"));
    copy->setObjectName(u"copyCommandButton"_s);
    copy->setToolTip(tr("The same job for a terminal: bitsmith-cli quantize …"));
    auto* open = new QPushButton(tr("Open job…"));
    open->setObjectName(u"openJobButton"_s);
    auto* save = new QPushButton(tr("Save job…"));
    save->setObjectName(u"saveJobButton"_s);
    connect(m_start, &QPushButton::clicked, this, &JobSummary::startRequested);
    connect(copy, &QPushButton::clicked, this, &JobSummary::copyCommand);
    connect(open, &QPushButton::clicked, this, &JobSummary::openJobRequested);
    connect(save, &QPushButton::clicked, this, &JobSummary::saveRequested);
    auto* widget = new QWidget;
    auto* grid = new QGridLayout(widget);
    grid->setContentsMargins(0, 0, 0, 0);
    grid->addWidget(open, 0, 0);
    grid->addWidget(save, 0, 1);
    grid->addWidget(copy, 1, 0, 1, 2);
    grid->addWidget(m_start, 2, 0, 1, 2);
    grid->addWidget(m_hint, 3, 0, 1, 2);
    return widget;
}

void JobSummary::setBusy(bool busy)
{
    m_busy = busy;
    refresh();
}

void JobSummary::refresh()
{
    const auto& estimate = m_draft->estimate();
    const ModelInfo* model = m_draft->model();
    if (estimate && model != nullptr) {
        m_bits->setValue(formatFixed(estimate->average_bits, 2), tr("per weight in the blocks"));
        m_output->setValue(
            formatBytes(estimate->export_bytes), tr("model now %1").arg(formatBytes(model->bytes)));
        m_memory->setValue(formatBytes(estimate->peak_host_bytes),
            estimate->peak_device_bytes > 0
                ? tr("device %1").arg(formatBytes(estimate->peak_device_bytes))
                : tr("at most, estimated"));
        m_disk->setValue(formatBytes(estimate->run_folder_bytes), tr("on disk"));
    } else {
        for (StatTile* tile : {m_bits, m_output, m_memory, m_disk}) {
            tile->setValue(unknownValue());
        }
    }
    m_issues->setIssues(m_draft->issues());
    m_start->setEnabled(m_draft->canStart() && !m_busy);
    m_hint->setVisible(!m_start->isEnabled());
    m_hint->setText(m_busy ? tr("Another job is running.")
            : m_draft->modelStatus() == JobDraft::ModelStatus::Known
            ? tr("Start is possible once the errors above are solved.")
            : tr("Start is possible once a model has been read."));
}

void JobSummary::applyFix(const Issue& issue)
{
    m_draft->edit([&issue](JobSpec& spec) { set_field(spec, issue.field, issue.fix_value); });
}

void JobSummary::copyCommand()
{
    QGuiApplication::clipboard()->setText(jobCommand(m_draft->spec()));
}

} // namespace bitsmith::ui
