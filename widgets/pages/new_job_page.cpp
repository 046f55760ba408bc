// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/new_job_page.h"

#include "widgets/controls/scroll_area.h"
#include "widgets/pages/job/calibration_section.h"
#include "widgets/pages/job/device_section.h"
#include "widgets/pages/job/job_summary.h"
#include "widgets/pages/job/model_section.h"
#include "widgets/pages/job/output_section.h"
#include "widgets/pages/job/recipe_section.h"
#include "widgets/pages/job/rules_section.h"
#include "widgets/pages/job/scheme_section.h"

#include <QHBoxLayout>
#include <QScrollArea>
#include <QVBoxLayout>

namespace bitsmith::ui {

NewJobPage::NewJobPage(JobDraft* draft, QWidget* parent)
    : QWidget(parent)
    , m_draft(draft)
    , m_model(new ModelSectionCard(draft))
    , m_device(new DeviceSection(draft))
    , m_summary(new JobSummary(draft))
{
    setObjectName(QStringLiteral("newJobPage"));
    auto* form = new QWidget;
    auto* sections = new QVBoxLayout(form);
    sections->setContentsMargins(0, 0, 4, 0);
    sections->setSpacing(12);
    sections->addWidget(m_model);
    sections->addWidget(new SchemeSectionCard(draft));
    sections->addWidget(new RecipeSection(draft));
    sections->addWidget(new CalibrationSectionCard(draft));
    sections->addWidget(m_device);
    sections->addWidget(new OutputSection(draft));
    sections->addWidget(new RulesSection(draft));
    sections->addStretch();
    QScrollArea* area = plainScrollArea(form);
    area->setObjectName(QStringLiteral("newJobScroll"));
    area->setMinimumWidth(fontMetrics().averageCharWidth() * 70);
    m_summary->setFixedWidth(std::max(300, fontMetrics().averageCharWidth() * 46));
    auto* layout = new QHBoxLayout(this);
    layout->setContentsMargins(16, 16, 16, 16);
    layout->setSpacing(12);
    layout->addWidget(area, 1);
    layout->addWidget(m_summary);
    setFocusProxy(m_model);
    connect(m_summary, &JobSummary::startRequested, this, &NewJobPage::startRequested);
    connect(m_summary, &JobSummary::saveRequested, this, &NewJobPage::saveRequested);
    connect(m_summary, &JobSummary::openJobRequested, this, &NewJobPage::openJobRequested);
}

void NewJobPage::setRecentModels(const QStringList& paths)
{
    m_model->setRecent(paths);
}

void NewJobPage::setDevices(const std::vector<DeviceInfo>& devices)
{
    m_device->setDevices(devices);
}

void NewJobPage::setBusy(bool busy)
{
    m_summary->setBusy(busy);
}

} // namespace bitsmith::ui
