// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/rules_section.h"

#include "widgets/controls/rule_table.h"
#include "widgets/models/rule_table_model.h"

#include <QLabel>
#include <QVBoxLayout>

namespace bitsmith::ui {

RulesSection::RulesSection(JobDraft* draft)
    : JobSection(draft, tr("Rules for single layers"), "scheme")
{
    body()->addWidget(mutedLabel(
        tr("Give some layers another scheme, or keep them at 16 bits. A pattern is a layer name, a "
           "part of it, or a name with * and ?; later rules win.")));
    body()->addWidget(new RuleTable(new RuleTableModel(draft, this)));
    startRefreshing();
}

} // namespace bitsmith::ui
