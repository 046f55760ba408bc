// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tests/widgets/support/recorded_run.h"
#include "widgets/controls/export_result.h"
#include "widgets/controls/state_chip.h"
#include "widgets/controls/text_dialog.h"
#include "widgets/pages/export_dialog.h"
#include "widgets/pages/run_header.h"
#include "widgets/state/run_state.h"

#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSignalSpy>
#include <QToolButton>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;
using namespace Qt::StringLiterals;

namespace {

/// Writes down what it is asked for; the test answers through its signals.
struct FakeWorker : ExportWorker
{
    void findOffers(const QString& run) override { offersOf = run; }
    void findFreeSpace(const QString& folder) override { spaceOf << folder; }
    void startExports(const QString& run, const std::vector<ExportOrder>& wanted) override
    {
        exportedRun = run;
        orders = wanted;
    }
    void findCard(
        const QString& run, const std::string& format, const ExportDetails& details) override
    {
        cardOf = QString(run + u' ' + QString::fromStdString(format));
        cardDetails = details;
    }
    void cancel() override { ++cancels; }

    QString offersOf;
    QString cardOf;
    ExportDetails cardDetails;
    QStringList spaceOf;
    QString exportedRun;
    std::vector<ExportOrder> orders;
    int cancels = 0;
};

const std::vector<ExportOffer>& sampleOffers()
{
    static const std::vector<ExportOffer> offers = {
        {"auto_round", "AutoRound", true, {}, 118'000'000, 4.5, {"transformers", "vLLM"}},
        {"gguf", "GGUF", true, {}, 140'000'000, 5.2, {"llama.cpp"}},
        {"nvfp4", "NVFP4", false, "the run holds integers", 0, 0, {"vLLM"}, "NVFP4"},
        {"mlx", "MLX", false, "not for this family", 0, 0, {"mlx-lm"}}};
    return offers;
}

ExportFacts sampleFacts()
{
    ExportFacts facts{{}, "BPE", false};
    facts.details.model_name = "Tiny";
    facts.details.license = "apache-2.0";
    facts.details.max_shard_gb = 2;
    return facts;
}

ExportOutcome written(const ExportOrder& order)
{
    ExportOutcome outcome;
    outcome.order = order;
    outcome.path = QString::fromStdString(order.output.string());
    outcome.bytes = 118'000'000;
    outcome.serveTexts = {{"vLLM", ServeKind::Command, "vllm serve here"},
        {"transformers", ServeKind::Python, "import transformers\n"}};
    return outcome;
}

} // namespace

class ExportDialogTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void asksForTheOffersOfItsRun();
    void filtersByTheProgramThatRunsTheModel();
    void greysWhatDoesNotFitAndSaysWhy();
    void showsTheModelCardOfAFormat();
    void saysWhatLiesBesideTheWeights();
    void exportsWithTheDetailsThatWereEdited();
    void takesWhatIsStillBeingTyped();
    void offersAnotherRunOnlyWhereItHelps();
    void asksTheWorkerForExactlyTheTickedFormats();
    void leavesOutATickedFormatThatIsFilteredOut();
    void refusesAFolderWithTooLittleSpace();
    void showsHowFarItIs();
    void comparesAnswersWhenAsked();
    void showsFilesAndAnswers();
    void showsWhatWasWritten();
    void hasATextForEveryRuntime();
    void scrollsToAResult();
    void marksFilesThatFailedTheirCheck();
    void saysWhyAnExportFailedAndShowsTheOthers();
    void cancelsInsteadOfClosingWhileItExports();
    void saysWhyARunCannotBeExported();
    void everyControlHasANameAndIsReachedByKey();
    void isOfferedOnlyForAFinishedRun();

private:
    QCheckBox* box(const QString& format)
    {
        return m_dialog->findChild<QCheckBox*>(QString(u"offer_"_s + format));
    }
    QPushButton* button(const QString& name) { return m_dialog->findChild<QPushButton*>(name); }
    QString text(const QString& name) { return m_dialog->findChild<QLabel*>(name)->text(); }
    QLineEdit* field(const QString& key)
    {
        return m_dialog->findChild<QLineEdit*>(QString(u"export_"_s + key));
    }
    void type(const QString& key, const QString& text)
    {
        field(key)->setText(text);
        QTest::keyClick(field(key), Qt::Key_Return);
    }
    /// Text of the window that `name` opens.
    QString details(const QString& name)
    {
        button(name)->click();
        auto* shown = m_dialog->findChild<TextDialog*>();
        const QString all = shown->findChild<QPlainTextEdit*>()->toPlainText();
        delete shown;
        return all;
    }
    void exportFormats(const QStringList& formats);

    std::unique_ptr<FakeWorker> m_worker;
    std::unique_ptr<ExportDialog> m_dialog;
};

void ExportDialogTest::init()
{
    m_worker = std::make_unique<FakeWorker>();
    m_dialog = std::make_unique<ExportDialog>(
        ExportSource{u"/runs/a"_s, u"/models/Tiny.gguf"_s, u"gguf:q4_0"_s}, m_worker.get());
    m_dialog->show();
    m_dialog->load();
    Q_EMIT m_worker->offersFound(sampleOffers());
    Q_EMIT m_worker->freeSpaceFound(m_dialog->folder(), 200'000'000);
}

void ExportDialogTest::cleanup()
{
    m_dialog.reset();
    m_worker.reset();
}

void ExportDialogTest::exportFormats(const QStringList& formats)
{
    for (const QString& format : formats) {
        box(format)->setChecked(true);
    }
    Q_EMIT m_worker->freeSpaceFound(m_dialog->folder(), 300'000'000'000);
    button(u"exportStartButton"_s)->click();
}

void ExportDialogTest::asksForTheOffersOfItsRun()
{
    QCOMPARE(m_worker->offersOf, u"/runs/a"_s);
    QCOMPARE(m_worker->spaceOf, QStringList{u"/runs/a/exports"_s});
    QVERIFY(m_dialog->findChild<QLabel*>(u"exportOffersMessage"_s)->isHidden());
}

void ExportDialogTest::filtersByTheProgramThatRunsTheModel()
{
    auto* runtime = m_dialog->findChild<QComboBox*>(u"exportRuntimeCombo"_s);
    QStringList names;
    for (int i = 1; i < runtime->count(); ++i) {
        names << runtime->itemText(i);
    }
    QCOMPARE(names, QStringList({u"llama.cpp"_s, u"mlx-lm"_s, u"transformers"_s, u"vLLM"_s}));
    QVERIFY(box(u"auto_round"_s)->isVisible() && box(u"gguf"_s)->isVisible());
    runtime->setCurrentText(u"llama.cpp"_s);
    QVERIFY(!box(u"auto_round"_s)->isVisible() && box(u"gguf"_s)->isVisible());
    runtime->setCurrentText(u"vLLM"_s);
    QVERIFY(box(u"auto_round"_s)->isVisible() && !box(u"gguf"_s)->isVisible());
    QVERIFY(box(u"nvfp4"_s)->isVisible());
    runtime->setCurrentIndex(0);
    QVERIFY(box(u"auto_round"_s)->isVisible() && box(u"gguf"_s)->isVisible());
}

void ExportDialogTest::greysWhatDoesNotFitAndSaysWhy()
{
    QVERIFY(box(u"nvfp4"_s)->isVisible());
    QVERIFY(!box(u"nvfp4"_s)->isEnabled());
    QCOMPARE(box(u"nvfp4"_s)->toolTip(), u"the run holds integers"_s);
    QVERIFY(text(u"offerReason_nvfp4"_s).contains(u"the run holds integers"_s));
    QVERIFY(box(u"gguf"_s)->isEnabled());
    QVERIFY(m_dialog->findChild<QLabel*>(u"offerReason_gguf"_s) == nullptr);
}

void ExportDialogTest::showsTheModelCardOfAFormat()
{
    QVERIFY(button(u"offerCard_nvfp4"_s) == nullptr);
    button(u"offerCard_gguf"_s)->click();
    QCOMPARE(m_worker->cardOf, u"/runs/a gguf"_s);
    Q_EMIT m_worker->cardFound("gguf", u"# Tiny <b>"_s);
    auto* shown = m_dialog->findChild<TextDialog*>();
    QVERIFY(shown->windowTitle().contains(u"GGUF"_s));
    QCOMPARE(shown->findChild<QPlainTextEdit*>()->toPlainText(), u"# Tiny <b>"_s);
    shown->findChild<QPushButton*>(u"textDialogCopyButton"_s)->click();
    QCOMPARE(QGuiApplication::clipboard()->text(), u"# Tiny <b>"_s);
    shown->close();
}

void ExportDialogTest::saysWhatLiesBesideTheWeights()
{
    auto* tokenizer = m_dialog->findChild<StateChip*>(u"exportTokenizerChip"_s);
    auto* chatTemplate = m_dialog->findChild<StateChip*>(u"exportTemplateChip"_s);
    QVERIFY(tokenizer->isHidden() && chatTemplate->isHidden());
    Q_EMIT m_worker->factsFound(sampleFacts());
    QVERIFY(!tokenizer->isHidden() && !chatTemplate->isHidden());
    QCOMPARE(tokenizer->text(), u"Tokenizer: BPE"_s);
    QCOMPARE(chatTemplate->text(), u"No chat template"_s);
    QCOMPARE(field(u"model_name"_s)->text(), u"Tiny"_s);
    QCOMPARE(field(u"license"_s)->text(), u"apache-2.0"_s);
    QCOMPARE(field(u"max_shard_gb"_s)->text(), u"2"_s);
    QCOMPARE(field(u"max_gguf_gb"_s)->text(), u"50"_s);
}

void ExportDialogTest::exportsWithTheDetailsThatWereEdited()
{
    Q_EMIT m_worker->factsFound(sampleFacts());
    type(u"author"_s, u"Ada"_s);
    type(u"license"_s, u"mit"_s);
    type(u"max_shard_gb"_s, u"8"_s);
    type(u"max_gguf_gb"_s, u"4.5"_s);
    type(u"model_name"_s, u"Another"_s);
    m_dialog->findChild<QToolButton*>(u"export_model_nameReset"_s)->click();
    ExportDetails expected = sampleFacts().details;
    expected.author = "Ada";
    expected.license = "mit";
    expected.max_shard_gb = 8;
    expected.max_gguf_gb = 4.5;
    button(u"offerCard_gguf"_s)->click();
    QVERIFY(m_worker->cardDetails == expected);
    exportFormats({u"gguf"_s, u"auto_round"_s});
    QVERIFY(m_worker->orders[0].details == expected);
    QVERIFY(m_worker->orders[1].details == expected);
    QVERIFY(!field(u"author"_s)->isEnabled());
}

void ExportDialogTest::takesWhatIsStillBeingTyped()
{
    m_dialog->activateWindow();
    QVERIFY(QTest::qWaitForWindowActive(m_dialog.get()));
    field(u"notes"_s)->setFocus();
    QTest::keyClicks(field(u"notes"_s), u"draft"_s);
    exportFormats({u"gguf"_s}); // as the shortcut does: no click that takes the focus
    QCOMPARE(m_worker->orders.front().details.notes, std::string("draft"));
}

void ExportDialogTest::offersAnotherRunOnlyWhereItHelps()
{
    QVERIFY(button(u"offerRun_gguf"_s) == nullptr);
    QVERIFY(button(u"offerRun_mlx"_s) == nullptr);
    std::vector<std::string> asked;
    connect(
        m_dialog.get(), &ExportDialog::ownRunRequested, this, [&asked](const ExportOffer& offer) {
            asked = {offer.format, offer.own_scheme};
        });
    QVERIFY(button(u"offerRun_nvfp4"_s)->isEnabled());
    button(u"offerRun_nvfp4"_s)->click();
    QCOMPARE(asked, (std::vector<std::string>{"nvfp4", "NVFP4"}));
    QVERIFY(!m_dialog->isVisible());
}

void ExportDialogTest::asksTheWorkerForExactlyTheTickedFormats()
{
    QVERIFY(!button(u"exportStartButton"_s)->isEnabled());
    exportFormats({u"gguf"_s, u"auto_round"_s});
    const std::vector<ExportOrder> expected = {
        {"auto_round", "/runs/a/exports/Tiny-gguf-q4_0-auto_round"},
        {"gguf", "/runs/a/exports/Tiny-gguf-q4_0-gguf"}};
    QCOMPARE(m_worker->exportedRun, u"/runs/a"_s);
    QVERIFY(m_worker->orders == expected);
    QVERIFY(!button(u"exportStartButton"_s)->isEnabled());
    QVERIFY(!box(u"gguf"_s)->isEnabled());
}

void ExportDialogTest::leavesOutATickedFormatThatIsFilteredOut()
{
    box(u"auto_round"_s)->setChecked(true);
    m_dialog->findChild<QComboBox*>(u"exportRuntimeCombo"_s)->setCurrentText(u"llama.cpp"_s);
    QVERIFY(!button(u"exportStartButton"_s)->isEnabled());
    exportFormats({u"gguf"_s});
    QCOMPARE(m_worker->orders.size(), std::size_t(1));
    QCOMPARE(m_worker->orders.front().format, std::string("gguf"));
}

void ExportDialogTest::refusesAFolderWithTooLittleSpace()
{
    auto* chip = m_dialog->findChild<StateChip*>(u"exportNoSpaceChip"_s);
    box(u"gguf"_s)->setChecked(true);
    QVERIFY(button(u"exportStartButton"_s)->isEnabled());
    QVERIFY(!chip->isVisible());
    QCOMPARE(text(u"exportSpaceLabel"_s), u"Needed: at most 140 MB. Free: 200 MB."_s);
    box(u"auto_round"_s)->setChecked(true); // 258 MB together
    QVERIFY(!button(u"exportStartButton"_s)->isEnabled());
    QVERIFY(chip->isVisible());
    Q_EMIT m_worker->freeSpaceFound(u"/elsewhere"_s, 900'000'000);
    QVERIFY(!button(u"exportStartButton"_s)->isEnabled());
    Q_EMIT m_worker->freeSpaceFound(m_dialog->folder(), 900'000'000);
    QVERIFY(button(u"exportStartButton"_s)->isEnabled());
}

void ExportDialogTest::showsHowFarItIs()
{
    auto* bar = m_dialog->findChild<QProgressBar*>(u"exportProgressBar"_s);
    QVERIFY(!bar->isVisible());
    exportFormats({u"auto_round"_s, u"gguf"_s});
    QVERIFY(bar->isVisible());
    Q_EMIT m_worker->progressed({0, ExportStep::Writing, 136, 272, u"tensors"_s});
    QCOMPARE(bar->value(), 250);
    QVERIFY(text(u"exportActivityLabel"_s).contains(u"AutoRound (1 of 2): 136 of 272 tensors"_s));
    Q_EMIT m_worker->progressed({1, ExportStep::Writing, 70'000'000, 140'000'000, u"bytes"_s});
    QCOMPARE(bar->value(), 750);
    QVERIFY(text(u"exportActivityLabel"_s).contains(u"GGUF (2 of 2): 70.0 MB of 140 MB"_s));
    Q_EMIT m_worker->progressed({1, ExportStep::ReadingBack, 0, 0, {}});
    QCOMPARE(bar->value(), 1000);
    Q_EMIT m_worker->allFinished();
    QVERIFY(!bar->isVisible());
}

void ExportDialogTest::comparesAnswersWhenAsked()
{
    m_dialog->findChild<QCheckBox*>(u"exportCompareBox"_s)->setChecked(true);
    exportFormats({u"gguf"_s});
    QVERIFY(m_worker->orders.front().comparesAnswers);
    auto* bar = m_dialog->findChild<QProgressBar*>(u"exportProgressBar"_s);
    Q_EMIT m_worker->progressed({0, ExportStep::ReadingBack, 0, 0, {}});
    QCOMPARE(bar->value(), 500);
    Q_EMIT m_worker->progressed({0, ExportStep::ComparingAnswers, 1, 2, u"tokens"_s});
    QCOMPARE(bar->value(), 750);
    QVERIFY(text(u"exportActivityLabel"_s).contains(u"comparing answers"_s));
}

void ExportDialogTest::showsFilesAndAnswers()
{
    exportFormats({u"gguf"_s});
    ExportOutcome outcome = written(m_worker->orders.front());
    outcome.files = {{"tiny.gguf", 118'000'000, "abcd"}};
    outcome.answers = {{"Why?", "So.", "So.", -1}, {"Who?", "I am", "I was", 1}};
    Q_EMIT m_worker->finished(outcome);
    Q_EMIT m_worker->allFinished();
    QVERIFY(text(u"exportFiles"_s).startsWith(u"1 file"_s));
    QCOMPARE(text(u"exportAnswers"_s), u"1 of 2 answers are the same as the original's"_s);
    QVERIFY(details(u"exportFilesButton"_s).contains(u"118 MB, SHA-256 abcd"_s));
    const QString answers = details(u"exportAnswersButton"_s);
    QVERIFY(answers.contains(u"Original: I am"_s) && answers.contains(u"Quantized: I was"_s));
    QVERIFY(answers.contains(u"First difference at token 2."_s));
}

void ExportDialogTest::showsWhatWasWritten()
{
    exportFormats({u"auto_round"_s});
    ExportOutcome outcome = written(m_worker->orders.front());
    outcome.notes = {u"lm_head stays BF16"_s};
    Q_EMIT m_worker->finished(outcome);
    Q_EMIT m_worker->allFinished();
    auto* card = m_dialog->findChild<ExportResult*>(u"exportResult_auto_round"_s);
    QVERIFY(card != nullptr);
    QCOMPARE(card->findChild<StateChip*>()->text(), u"Verified"_s);
    QCOMPARE(text(u"exportPath"_s), outcome.path);
    QCOMPARE(text(u"exportServe_vLLM"_s), u"vllm serve here"_s);
    QVERIFY(text(u"exportNote"_s).contains(u"lm_head stays BF16"_s));
    button(u"exportCopyPathButton"_s)->click();
    QCOMPARE(QGuiApplication::clipboard()->text(), outcome.path);
    button(u"exportServe_vLLMCopyButton"_s)->click();
    QCOMPARE(QGuiApplication::clipboard()->text(), u"vllm serve here"_s);
    QSignalSpy opened(m_dialog.get(), &ExportDialog::openRequested);
    button(u"exportOpenButton"_s)->click();
    QCOMPARE(opened.front()[0].toString(), outcome.path);
    // Written formats are not written again by the next Export.
    QVERIFY(!box(u"auto_round"_s)->isChecked() && box(u"auto_round"_s)->isEnabled());
}

void ExportDialogTest::hasATextForEveryRuntime()
{
    exportFormats({u"gguf"_s});
    ExportOutcome outcome = written(m_worker->orders.front());
    outcome.serveTexts.push_back({"Ollama", ServeKind::Modelfile, "FROM /a b.gguf\n"});
    Q_EMIT m_worker->finished(outcome);
    Q_EMIT m_worker->allFinished();
    QVERIFY(text(u"exportServe_transformers"_s).contains(u"transformers"_s));
    QCOMPARE(details(u"exportServe_transformersButton"_s), u"import transformers\n"_s);
    QVERIFY(text(u"exportServe_Ollama"_s).contains(u"Ollama"_s));
    QCOMPARE(details(u"exportServe_OllamaButton"_s), u"FROM /a b.gguf\n"_s);
}

void ExportDialogTest::scrollsToAResult()
{
    m_dialog->resize(700, 400);
    exportFormats({u"auto_round"_s});
    Q_EMIT m_worker->finished(written(m_worker->orders.front()));
    Q_EMIT m_worker->allFinished();
    auto* result = m_dialog->findChild<ExportResult*>();
    QTRY_COMPARE(result->visibleRegion().boundingRect(), result->rect());
}

void ExportDialogTest::marksFilesThatFailedTheirCheck()
{
    exportFormats({u"gguf"_s});
    ExportOutcome outcome = written(m_worker->orders.front());
    outcome.findings = {u"blk.0.attn_q.weight differs"_s};
    Q_EMIT m_worker->finished(outcome);
    QCOMPARE(
        m_dialog->findChild<ExportResult*>()->findChild<StateChip*>()->text(), u"Check failed"_s);
    QVERIFY(text(u"exportFinding"_s).contains(u"blk.0.attn_q.weight differs"_s));
    QVERIFY(button(u"exportOpenButton"_s) != nullptr);
}

void ExportDialogTest::saysWhyAnExportFailedAndShowsTheOthers()
{
    exportFormats({u"auto_round"_s, u"gguf"_s});
    ExportOutcome failed;
    failed.order = m_worker->orders[0];
    failed.state = JobState::Failed;
    failed.errorCode = ErrorCode::WriteFailed;
    failed.message = u"the disk is full [file: /runs/a]"_s;
    Q_EMIT m_worker->finished(failed);
    Q_EMIT m_worker->finished(written(m_worker->orders[1]));
    Q_EMIT m_worker->allFinished();
    auto* first = m_dialog->findChild<ExportResult*>(u"exportResult_auto_round"_s);
    QCOMPARE(first->findChild<StateChip*>()->text(), u"Failed"_s);
    QCOMPARE(first->findChild<QLabel*>(u"exportMessage"_s)->text(),
        u"The result could not be written. the disk is full [file: /runs/a]"_s);
    QVERIFY(first->findChild<QPushButton*>(u"exportOpenButton"_s) == nullptr);
    auto* second = m_dialog->findChild<ExportResult*>(u"exportResult_gguf"_s);
    QCOMPARE(second->findChild<StateChip*>()->text(), u"Verified"_s);
    QVERIFY(box(u"auto_round"_s)->isChecked()); // ready to be tried again
}

void ExportDialogTest::cancelsInsteadOfClosingWhileItExports()
{
    exportFormats({u"gguf"_s});
    QCOMPARE(button(u"exportCloseButton"_s)->text(), u"Cancel"_s);
    QTest::keyClick(m_dialog.get(), Qt::Key_Escape);
    QCOMPARE(m_worker->cancels, 1);
    QVERIFY(m_dialog->isVisible());
    QVERIFY(!m_dialog->close());
    QCOMPARE(m_worker->cancels, 1);
    ExportOutcome cancelled;
    cancelled.order = m_worker->orders.front();
    cancelled.state = JobState::Cancelled;
    Q_EMIT m_worker->finished(cancelled);
    Q_EMIT m_worker->allFinished();
    QCOMPARE(m_dialog->findChild<ExportResult*>()->findChild<StateChip*>()->text(), u"Cancelled"_s);
    button(u"exportCloseButton"_s)->click();
    QVERIFY(!m_dialog->isVisible());
}

void ExportDialogTest::saysWhyARunCannotBeExported()
{
    ExportDialog dialog({u"/runs/b"_s, u"/models/b"_s, u"W4A16"_s}, m_worker.get());
    dialog.load();
    Q_EMIT m_worker->offersFailed(u"the run is not finished [found: 3 of 30 blocks]"_s);
    QVERIFY(
        dialog.findChild<QLabel*>(u"exportOffersMessage"_s)->text().contains(u"3 of 30 blocks"_s));
    QVERIFY(!dialog.findChild<QPushButton*>(u"exportStartButton"_s)->isEnabled());
}

void ExportDialogTest::everyControlHasANameAndIsReachedByKey()
{
    exportFormats({u"gguf"_s});
    Q_EMIT m_worker->finished(written(m_worker->orders.front()));
    Q_EMIT m_worker->allFinished();
    for (const QWidget* widget : m_dialog->findChildren<QWidget*>()) {
        const auto* control = qobject_cast<const QAbstractButton*>(widget);
        const bool named = !widget->accessibleName().isEmpty()
            || (control != nullptr && !control->text().isEmpty());
        if (control != nullptr || qobject_cast<const QComboBox*>(widget) != nullptr) {
            QVERIFY2(
                named && (widget->focusPolicy() & Qt::TabFocus), qPrintable(widget->objectName()));
        }
    }
    QVERIFY(!button(u"exportStartButton"_s)->shortcut().isEmpty());
}

void ExportDialogTest::isOfferedOnlyForAFinishedRun()
{
    RunState state;
    RunHeader header(&state);
    auto* offer = header.findChild<QPushButton*>(u"exportButton"_s);
    testing::RunScript script;
    script.blocks = 3;
    script.finish = false;
    state.fold(testing::scriptedRun(script));
    state.endOfFeed(JobState::Interrupted);
    QVERIFY(offer->isHidden());
    state.clear();
    state.fold(testing::scriptedRun());
    QVERIFY(!offer->isHidden());
    header.setControlState(RunControlState::Active);
    QVERIFY(offer->isHidden());
    header.setControlState(RunControlState::Idle);
    const QSignalSpy asked(&header, &RunHeader::exportRequested);
    offer->click();
    QCOMPARE(asked.size(), 1);
}

BITSMITH_TEST(ExportDialogTest)
#include "export_dialog_test.moc"
