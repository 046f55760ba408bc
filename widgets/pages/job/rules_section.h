// SPDX-License-Identifier: GPL-3.0-or-later
// Rules for single layers.
#pragma once

#include "widgets/pages/job/job_section.h"

namespace bitsmith::ui {

class RulesSection : public JobSection
{
    Q_OBJECT

public:
    explicit RulesSection(JobDraft* draft);

protected:
    void refresh() override { } // the rule model follows the draft itself
};

} // namespace bitsmith::ui
