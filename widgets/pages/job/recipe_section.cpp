// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/job/recipe_section.h"

#include "widgets/text/format_text.h"

#include <bitsmith/catalog.h>

#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>

namespace bitsmith::ui {

namespace {

/// Every field but the name, which the combo shows.
template <class List>
List withoutName(List list)
{
    list.erase(list.begin());
    return list;
}

const RecipeInfo* infoOf(const std::string& name)
{
    for (const RecipeInfo& info : recipe_catalog()) {
        if (info.recipe.name == name) {
            return &info;
        }
    }
    return nullptr;
}

} // namespace

RecipeSection::RecipeSection(JobDraft* draft)
    : JobSection(draft, tr("Recipe"), "recipe")
    , m_recipe(new QComboBox)
    , m_title(mutedLabel({}))
    , m_numbers(new OptionForm(QStringLiteral("recipe_"), withoutName(describeFields(Recipe())), 2))
{
    m_recipe->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_recipe->setMinimumContentsLength(16);
    m_recipe->setObjectName(QStringLiteral("recipeCombo"));
    m_recipe->setAccessibleName(tr("Recipe"));
    for (const RecipeInfo& info : recipe_catalog()) {
        m_recipe->addItem(tr("%1   %2 steps, %3 samples")
                              .arg(toQString(info.recipe.name))
                              .arg(info.recipe.iters)
                              .arg(info.recipe.nsamples),
            toQString(info.recipe.name));
    }
    body()->addWidget(m_recipe);
    body()->addWidget(m_title);
    body()->addWidget(m_numbers);
    setForm(m_numbers);
    connect(m_recipe, &QComboBox::activated, this, &RecipeSection::onRecipeActivated);
    connect(m_numbers, &OptionForm::valueEdited, this, &RecipeSection::onValueEdited);
    startRefreshing();
}

void RecipeSection::onRecipeActivated(int index)
{
    const std::string name = m_recipe->itemData(index).toString().toStdString();
    draft()->edit([&name](JobSpec& spec) {
        if (const RecipeInfo* info = infoOf(name)) {
            spec.recipe = info->recipe;
        }
    });
}

void RecipeSection::onValueEdited(const std::string& key, const FieldValue& value)
{
    draft()->edit([&](JobSpec& spec) { writeField(spec.recipe, key, value); });
}

void RecipeSection::refresh()
{
    const Recipe& recipe = draft()->spec().recipe;
    const RecipeInfo* info = infoOf(recipe.name);
    m_recipe->setCurrentIndex(m_recipe->findData(toQString(recipe.name)));
    // Values are compared with the recipe that they started from.
    const Recipe base = info != nullptr ? info->recipe : Recipe();
    m_numbers->setValues(withoutName(readFields(recipe)), withoutName(readFields(base)));
    const int changed = m_numbers->changedCount();
    QString text = info != nullptr ? toQString(info->title) : toQString(recipe.name);
    if (changed > 0) {
        text = tr("%1 (%n values changed)", nullptr, changed).arg(text);
    }
    m_title->setText(text);
}

} // namespace bitsmith::ui
