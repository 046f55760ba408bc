// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "widgets/controls/option_form.h"

#include <bitsmith/job_spec.h>

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLineEdit>
#include <QSignalSpy>
#include <QToolButton>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;
using namespace Qt::StringLiterals;

class OptionFormTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void readsAndWritesEveryScalarField();
    void makesAnEditorPerField();
    void marksChangedValuesAndResetsThem();
    void emptyTextOfAnOptionalFieldMeansAutomatic();
    void emitsWholeNumbersAndWords();
    void showsNothingAsEditedWhenValuesAreSet();

private:
    void showRecipe();

    std::unique_ptr<OptionForm> m_form;
    Recipe m_recipe;
    std::vector<std::pair<std::string, FieldValue>> m_edits;
};

void OptionFormTest::init()
{
    m_recipe = {};
    m_edits.clear();
    m_form = std::make_unique<OptionForm>(u"recipe_"_s, describeFields(m_recipe), 2);
    connect(m_form.get(), &OptionForm::valueEdited, this,
        [this](const std::string& key, const FieldValue& value) {
            m_edits.emplace_back(key, value);
            writeField(m_recipe, key, value);
            showRecipe();
        });
    showRecipe();
}

void OptionFormTest::showRecipe()
{
    m_form->setValues(readFields(m_recipe), readFields(Recipe()));
}

void OptionFormTest::readsAndWritesEveryScalarField()
{
    Recipe other;
    other.iters = 7;
    other.lr = 0.25;
    other.selection = Selection::Last;
    other.enable_minmax_tuning = false;
    const auto fields = describeFields(other);
    const auto values = readFields(other);
    QCOMPARE(fields.size(), values.size());
    Recipe copy;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        writeField(copy, fields[i].key, values[i]);
    }
    QVERIFY(copy == other);
}

void OptionFormTest::makesAnEditorPerField()
{
    for (const FieldDescription& field : describeFields(m_recipe)) {
        const QString name = u"recipe_"_s + QString::fromStdString(field.key);
        auto* editor = m_form->findChild<QWidget*>(name);
        QVERIFY2(editor != nullptr, qPrintable(name));
        QVERIFY(!editor->accessibleName().isEmpty());
        QVERIFY(editor->toolTip().contains(QString::fromStdString(field.key)));
    }
}

void OptionFormTest::marksChangedValuesAndResetsThem()
{
    QCOMPARE(m_form->changedCount(), 0);
    m_form->findChild<QDoubleSpinBox*>(u"recipe_iters"_s)->setValue(50);
    QCOMPARE(m_recipe.iters, int64_t(50));
    QCOMPARE(m_form->changedCount(), 1);
    auto* reset = m_form->findChild<QToolButton*>(u"recipe_itersReset"_s);
    QVERIFY(!reset->isHidden());
    reset->click();
    QCOMPARE(m_recipe.iters, int64_t(200));
    QCOMPARE(m_form->changedCount(), 0);
}

void OptionFormTest::emptyTextOfAnOptionalFieldMeansAutomatic()
{
    auto* edit = m_form->findChild<QLineEdit*>(u"recipe_lr"_s);
    edit->setText(u"0.005"_s);
    Q_EMIT edit->editingFinished();
    QCOMPARE(m_recipe.lr, std::optional(0.005));
    edit->clear();
    Q_EMIT edit->editingFinished();
    QVERIFY(!m_recipe.lr.has_value());
    QCOMPARE(edit->placeholderText(), u"automatic"_s);
}

void OptionFormTest::emitsWholeNumbersAndWords()
{
    m_form->findChild<QCheckBox*>(u"recipe_enable_minmax_tuning"_s)->setChecked(false);
    QVERIFY(!m_recipe.enable_minmax_tuning);
    auto* combo = m_form->findChild<QComboBox*>(u"recipe_selection"_s);
    combo->setCurrentIndex(combo->findData(u"last"_s));
    Q_EMIT combo->activated(combo->currentIndex());
    QCOMPARE(m_recipe.selection, Selection::Last);
}

void OptionFormTest::showsNothingAsEditedWhenValuesAreSet()
{
    Recipe other;
    other.iters = 1000;
    other.seqlen = 512;
    m_form->setValues(readFields(other), readFields(Recipe()));
    QVERIFY(m_edits.empty());
    QCOMPARE(m_form->findChild<QDoubleSpinBox*>(u"recipe_seqlen"_s)->value(), 512.0);
    QCOMPARE(m_form->changedCount(), 2);
}

BITSMITH_TEST(OptionFormTest)
#include "option_form_test.moc"
