// SPDX-License-Identifier: GPL-3.0-or-later
// What is written, where, and what is measured afterwards.
#pragma once

#include "widgets/pages/job/job_section.h"

class QCheckBox;

namespace bitsmith::ui {

class FormatList;
class PathEdit;

class OutputSection : public JobSection
{
    Q_OBJECT

public:
    explicit OutputSection(JobDraft* draft);

protected:
    void refresh() override;

private:
    QWidget* buildMeasures();

    FormatList* m_formats;
    PathEdit* m_output;
    std::vector<std::pair<std::string, QCheckBox*>> m_metrics;
    PathEdit* m_text;
    OptionForm* m_evaluation;
};

} // namespace bitsmith::ui
