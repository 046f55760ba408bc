// SPDX-License-Identifier: GPL-3.0-or-later
// Where the job computes, with how many threads, and from which seed.
#pragma once

#include "widgets/pages/job/job_section.h"

#include <bitsmith/device.h>

class QComboBox;

namespace bitsmith::ui {

class DeviceSection : public JobSection
{
    Q_OBJECT

public:
    explicit DeviceSection(JobDraft* draft);

    /// Devices found; one that cannot be used stays visible with its reason.
    void setDevices(const std::vector<DeviceInfo>& devices);

protected:
    void refresh() override;

private:
    QComboBox* m_device;
    OptionForm* m_options;
};

} // namespace bitsmith::ui
