// SPDX-License-Identifier: GPL-3.0-or-later
// How hard to tune: a named recipe, and every number of it.
#pragma once

#include "widgets/pages/job/job_section.h"

class QComboBox;

namespace bitsmith::ui {

class RecipeSection : public JobSection
{
    Q_OBJECT

public:
    explicit RecipeSection(JobDraft* draft);

protected:
    void refresh() override;

private:
    void onRecipeActivated(int index);
    void onValueEdited(const std::string& key, const FieldValue& value);

    QComboBox* m_recipe;
    QLabel* m_title;
    OptionForm* m_numbers;
};

} // namespace bitsmith::ui
