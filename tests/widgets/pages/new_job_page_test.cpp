// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "widgets/controls/issue_list.h"
#include "widgets/controls/scheme_combo.h"
#include "widgets/controls/stat_tile.h"
#include "widgets/pages/new_job_page.h"

#include <bitsmith/catalog.h>

#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QGuiApplication>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;
using namespace Qt::StringLiterals;

namespace {

std::shared_ptr<ModelInfo> smallModel()
{
    auto model = std::make_shared<ModelInfo>();
    model->family = "llama";
    model->blocks = 2;
    model->parameters = 134515008;
    model->bytes = 269000000;
    model->max_length = 8192;
    model->tokenizer = "BPE";
    for (int block = 0; block < 2; ++block) {
        LayerInfo layer;
        layer.name = "model.layers." + std::to_string(block) + ".mlp.down_proj";
        layer.block_index = block;
        layer.rows = 576;
        layer.columns = 1536;
        layer.dtype = "BF16";
        layer.bytes = layer.rows * layer.columns * 2;
        layer.quantizable = true;
        model->layers.push_back(layer);
    }
    return model;
}

} // namespace

class NewJobPageTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void showsTheFactsOfTheModel();
    void showsWhyAModelCannotBeRead();
    void locksStartWhileTheDraftHasErrors();
    void fixesAnIssueWithItsButton();
    void listsEverySchemeOfTheCatalogue();
    void takesAllNumbersOfARecipe();
    void changesTheSpecWithEveryControl();
    void listsDevicesAndGreysUnusableOnes();
    void copiesTheCommandLine();

private:
    template <class T>
    T* child(const QString& name)
    {
        return m_page->findChild<T*>(name);
    }
    void knowModel();

    std::vector<Issue> m_issues;
    std::unique_ptr<JobDraft> m_draft;
    std::unique_ptr<NewJobPage> m_page;
};

void NewJobPageTest::init()
{
    m_issues.clear();
    m_draft = std::make_unique<JobDraft>(
        nullptr, [this](const JobSpec&, const ModelInfo*) { return m_issues; });
    m_page = std::make_unique<NewJobPage>(m_draft.get());
    m_page->resize(1200, 800);
    m_page->show();
}

void NewJobPageTest::cleanup()
{
    m_page.reset();
    m_draft.reset();
}

void NewJobPageTest::knowModel()
{
    m_draft->edit([](JobSpec& spec) { spec.model.path = "/models/small"; });
    m_draft->setModel(u"/models/small"_s, smallModel());
}

void NewJobPageTest::showsTheFactsOfTheModel()
{
    knowModel();
    QCOMPARE(child<StatTile>(u"familyTile"_s)->value(), u"llama"_s);
    QCOMPARE(child<StatTile>(u"parametersTile"_s)->value(), u"134.5 M"_s);
    QCOMPARE(child<QComboBox>(u"modelPathEdit"_s)->currentText(), u"/models/small"_s);
}

void NewJobPageTest::showsWhyAModelCannotBeRead()
{
    m_draft->edit([](JobSpec& spec) { spec.model.path = "/models/none"; });
    m_draft->setModelError(u"/models/none"_s, u"config.json is missing"_s);
    auto* message = child<QLabel>(u"modelMessage"_s);
    QVERIFY(message->isVisible());
    QCOMPARE(message->text(), u"config.json is missing"_s);
}

void NewJobPageTest::locksStartWhileTheDraftHasErrors()
{
    auto* start = child<QPushButton>(u"startButton"_s);
    QVERIFY(!start->isEnabled());
    knowModel();
    QVERIFY(start->isEnabled());
    const QSignalSpy started(m_page.get(), &NewJobPage::startRequested);
    start->click();
    QCOMPARE(started.size(), 1);
    m_page->setBusy(true);
    QVERIFY(!start->isEnabled());
    m_page->setBusy(false);
    m_issues = {{Severity::Error, "V02", "exports.formats", "gguf cannot hold W4A16", {}}};
    m_draft->checkNow();
    QVERIFY(!start->isEnabled());
    QCOMPARE(m_page->findChild<IssueList*>()->count(), 1);
}

void NewJobPageTest::fixesAnIssueWithItsButton()
{
    knowModel();
    m_issues = {{Severity::Error, "V04", "recipe.seqlen", "longer than the context", "512"}};
    m_draft->checkNow();
    auto* fix = child<QPushButton>(u"issueFix0"_s);
    QVERIFY(fix != nullptr);
    fix->click();
    QCOMPARE(m_draft->spec().recipe.seqlen, int64_t(512));
}

void NewJobPageTest::listsEverySchemeOfTheCatalogue()
{
    auto* combo = m_page->findChild<SchemeCombo*>();
    for (const SchemeInfo& info : scheme_catalog()) {
        QVERIFY(combo->findData(QString::fromStdString(info.name)) >= 0);
    }
    m_draft->edit([](JobSpec& spec) { spec.scheme.scheme = "W4A16G96"; });
    QCOMPARE(combo->scheme(), u"W4A16G96"_s);
}

void NewJobPageTest::takesAllNumbersOfARecipe()
{
    auto* combo = child<QComboBox>(u"recipeCombo"_s);
    combo->setCurrentIndex(combo->findData(u"best"_s));
    Q_EMIT combo->activated(combo->currentIndex());
    QVERIFY(m_draft->spec().recipe == named_recipe("best"));
    child<QDoubleSpinBox>(u"recipe_nsamples"_s)->setValue(77);
    QCOMPARE(m_draft->spec().recipe.nsamples, int64_t(77));
    QCOMPARE(m_draft->spec().recipe.name, std::string("best"));
}

void NewJobPageTest::changesTheSpecWithEveryControl()
{
    auto* output = child<QComboBox>(u"outputPathEdit"_s);
    output->setEditText(u"/out"_s);
    Q_EMIT output->lineEdit()->editingFinished();
    QCOMPARE(m_draft->spec().exports.output, std::string("/out"));
    child<QCheckBox>(u"metric_kld"_s)->setChecked(true);
    QCOMPARE(m_draft->spec().evaluation.metrics, std::vector<std::string>{"kld"});
    child<QCheckBox>(u"quantHeadBox"_s)->setChecked(true);
    QVERIFY(m_draft->spec().scheme.quant_lm_head);
    child<QPushButton>(u"addRuleButton"_s)->click();
    QCOMPARE(m_draft->spec().scheme.keep.size(), std::size_t(1));
    child<QDoubleSpinBox>(u"runtime_seed"_s)->setValue(7);
    QCOMPARE(m_draft->spec().runtime.seed, int64_t(7));
    auto* symmetry = child<QComboBox>(u"scheme_sym"_s);
    symmetry->setCurrentIndex(2);
    Q_EMIT symmetry->activated(2);
    QCOMPARE(m_draft->spec().scheme.sym, std::optional(false));
}

void NewJobPageTest::listsDevicesAndGreysUnusableOnes()
{
    m_page->setDevices({{"cpu", "Processor", 64, 32, false, {}},
        {"cuda:0", "Card", 24, 20, true, "driver is too old"}});
    auto* combo = child<QComboBox>(u"deviceCombo"_s);
    QCOMPARE(combo->count(), 3);
    QVERIFY(combo->model()->flags(combo->model()->index(1, 0)).testFlag(Qt::ItemIsEnabled));
    QVERIFY(!combo->model()->flags(combo->model()->index(2, 0)).testFlag(Qt::ItemIsEnabled));
    QVERIFY(combo->itemText(2).contains(u"driver is too old"_s));
}

void NewJobPageTest::copiesTheCommandLine()
{
    knowModel();
    child<QPushButton>(u"copyCommandButton"_s)->click();
    QVERIFY(QGuiApplication::clipboard()->text().startsWith(
        u"bitsmith-cli quantize /models/small --scheme W4A16"_s));
}

BITSMITH_TEST(NewJobPageTest)
#include "new_job_page_test.moc"
