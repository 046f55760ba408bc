// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/state/job_draft.h"

#include "widgets/text/format_text.h"

#include <algorithm>

namespace bitsmith::ui {

namespace {

constexpr int kCheckDelayMs = 80;

std::optional<Estimate> estimateOf(const JobSpec& spec, const ModelInfo& model)
{
    try {
        return bitsmith::estimate(spec, model, build_plan(spec, model));
    } catch (const Error&) {
        // The same fault stands in the list of issues; there is nothing to estimate.
        return std::nullopt;
    }
}

} // namespace

JobDraft::JobDraft(QObject* parent, Checker checker)
    : QObject(parent)
    , m_checker(checker ? std::move(checker) : Checker(&bitsmith::check))
{
    m_checkTimer.setSingleShot(true);
    m_checkTimer.setInterval(kCheckDelayMs);
    connect(&m_checkTimer, &QTimer::timeout, this, &JobDraft::checkNow);
    m_checkTimer.start();
}

void JobDraft::setSpec(const JobSpec& spec)
{
    edit([&spec](JobSpec& current) { current = spec; });
}

void JobDraft::edit(const std::function<void(JobSpec&)>& change)
{
    JobSpec next = m_spec;
    change(next);
    if (next == m_spec) {
        return;
    }
    const bool modelDiffers = next.model != m_spec.model;
    m_spec = std::move(next);
    if (modelDiffers) {
        m_model.reset();
        m_modelError.clear();
        m_modelStatus = m_spec.model.path.empty() ? ModelStatus::None : ModelStatus::Reading;
    }
    m_checkTimer.start();
    Q_EMIT specChanged();
    if (modelDiffers) {
        Q_EMIT modelChanged();
        Q_EMIT modelPathChanged(toQString(m_spec.model.path));
    }
}

void JobDraft::setModel(const QString& path, std::shared_ptr<const ModelInfo> info)
{
    if (path != toQString(m_spec.model.path)) {
        return;
    }
    m_model = std::move(info);
    m_modelError.clear();
    m_modelStatus = ModelStatus::Known;
    Q_EMIT modelChanged();
    checkNow();
}

void JobDraft::setModelError(const QString& path, const QString& message)
{
    if (path != toQString(m_spec.model.path)) {
        return;
    }
    m_model.reset();
    m_modelError = message;
    m_modelStatus = ModelStatus::Failed;
    Q_EMIT modelChanged();
    checkNow();
}

std::vector<Issue> JobDraft::issuesOf(std::string_view field) const
{
    std::vector<Issue> found;
    std::copy_if(m_issues.begin(), m_issues.end(), std::back_inserter(found),
        [field](const Issue& issue) { return issue.field == field; });
    return found;
}

bool JobDraft::canStart() const
{
    const bool blocked = std::any_of(m_issues.begin(), m_issues.end(),
        [](const Issue& issue) { return issue.severity == Severity::Error; });
    return !blocked && m_modelStatus == ModelStatus::Known;
}

void JobDraft::checkNow()
{
    m_checkTimer.stop();
    m_issues = m_checker(m_spec, m_model.get());
    m_estimate = m_model ? estimateOf(m_spec, *m_model) : std::nullopt;
    Q_EMIT issuesChanged();
}

} // namespace bitsmith::ui
