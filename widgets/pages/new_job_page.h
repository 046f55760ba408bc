// SPDX-License-Identifier: GPL-3.0-or-later
// The form of a job: one section per part of the spec, and a summary that is always current.
#pragma once

#include "widgets/state/job_draft.h"

#include <bitsmith/device.h>

#include <QWidget>

namespace bitsmith::ui {

class DeviceSection;
class JobSummary;
class ModelSectionCard;

class NewJobPage : public QWidget
{
    Q_OBJECT

public:
    explicit NewJobPage(JobDraft* draft, QWidget* parent = nullptr);

    void setRecentModels(const QStringList& paths);
    void setDevices(const std::vector<DeviceInfo>& devices);
    /// A job is running: another cannot start.
    void setBusy(bool busy);

Q_SIGNALS:
    void startRequested();
    void saveRequested();
    void openJobRequested();

private:
    JobDraft* m_draft;
    ModelSectionCard* m_model;
    DeviceSection* m_device;
    JobSummary* m_summary;
};

} // namespace bitsmith::ui
