// SPDX-License-Identifier: GPL-3.0-or-later
// The text that rounding is tuned on.
#pragma once

#include "widgets/pages/job/job_section.h"

class QComboBox;

namespace bitsmith::ui {

class CalibrationSectionCard : public JobSection
{
    Q_OBJECT

public:
    explicit CalibrationSectionCard(JobDraft* draft);

protected:
    void refresh() override;

private:
    void onDatasetChosen();
    void onBrowseClicked();

    QComboBox* m_dataset;
    OptionForm* m_options;
};

} // namespace bitsmith::ui
