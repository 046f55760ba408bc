// SPDX-License-Identifier: GPL-3.0-or-later
// The job being edited: the spec, what is known about its model, and the issues of both. Every
// section of the New job page reads and changes this one object.
#pragma once

#include <bitsmith/check.h>

#include <QObject>
#include <QTimer>

#include <functional>
#include <memory>
#include <optional>

namespace bitsmith::ui {

class JobDraft : public QObject
{
    Q_OBJECT

public:
    enum class ModelStatus
    {
        None, ///< no path given
        Reading,
        Known,
        Failed
    };
    using Checker = std::function<std::vector<Issue>(const JobSpec&, const ModelInfo*)>;

    /// `checker` stands in for bitsmith::check in tests.
    explicit JobDraft(QObject* parent = nullptr, Checker checker = {});

    const JobSpec& spec() const { return m_spec; }
    void setSpec(const JobSpec& spec);
    /// Changes the spec through `change`; signals follow only when something differs.
    void edit(const std::function<void(JobSpec&)>& change);

    ModelStatus modelStatus() const { return m_modelStatus; }
    const ModelInfo* model() const { return m_model.get(); }
    const QString& modelError() const { return m_modelError; }
    /// Answer of an inspection. Ignored when the path has changed since.
    void setModel(const QString& path, std::shared_ptr<const ModelInfo> info);
    void setModelError(const QString& path, const QString& message);

    const std::vector<Issue>& issues() const { return m_issues; }
    /// Issues of one field, for example "recipe.iters".
    std::vector<Issue> issuesOf(std::string_view field) const;
    bool canStart() const;
    /// Needs of the job; empty while the model is unknown or the scheme is not valid.
    const std::optional<Estimate>& estimate() const { return m_estimate; }

    /// Checks at once instead of a moment after the last change.
    void checkNow();

Q_SIGNALS:
    void specChanged();
    void modelPathChanged(const QString& path); ///< wants an inspection
    void modelChanged();
    void issuesChanged();

private:
    Checker m_checker;
    JobSpec m_spec;
    ModelStatus m_modelStatus = ModelStatus::None;
    std::shared_ptr<const ModelInfo> m_model;
    QString m_modelError;
    std::vector<Issue> m_issues;
    std::optional<Estimate> m_estimate;
    QTimer m_checkTimer;
};

} // namespace bitsmith::ui
