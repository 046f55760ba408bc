// SPDX-License-Identifier: GPL-3.0-or-later
// Choice of the number format, and single values that replace the format's own.
#pragma once

#include "widgets/pages/job/job_section.h"

class QCheckBox;

namespace bitsmith::ui {

class SchemeCombo;

class SchemeSectionCard : public JobSection
{
    Q_OBJECT

public:
    explicit SchemeSectionCard(JobDraft* draft);

protected:
    void refresh() override;

private:
    SchemeCombo* m_scheme;
    QLabel* m_title;
    OptionForm* m_changes;
    QCheckBox* m_head;
};

} // namespace bitsmith::ui
