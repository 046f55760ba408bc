// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/services/export_thread.h"
#include "support/test_main.h"

#include <bitsmith/run_reader.h>

#include <QTemporaryDir>
#include <QThread>
#include <QtTest>

#include <atomic>

using namespace bitsmith;
using namespace bitsmith::gui;
using ui::ExportOrder;
using ui::ExportOutcome;
using ui::ExportProgress;

namespace {

/// Collects what a worker reports.
struct Collector : QObject
{
    explicit Collector(ExportThread& worker)
    {
        connect(&worker, &ExportThread::offersFound, this,
            [this](const std::vector<ExportOffer>& found) { offers = found; });
        connect(&worker, &ExportThread::factsFound, this,
            [this](const ExportFacts& found) { facts = found; });
        connect(&worker, &ExportThread::offersFailed, this,
            [this](const QString& text) { message = text; });
        connect(&worker, &ExportThread::freeSpaceFound, this,
            [this](const QString&, qint64 bytes) { freeBytes = bytes; });
        connect(&worker, &ExportThread::progressed, this, [this](const ExportProgress& now) {
            onWindowsThread = onWindowsThread && QThread::currentThread() == thread();
            progress.push_back(now);
        });
        connect(&worker, &ExportThread::finished, this,
            [this](const ExportOutcome& outcome) { outcomes.push_back(outcome); });
        connect(&worker, &ExportThread::allFinished, this, [this] { ended = true; });
    }

    ExportFacts facts;
    std::vector<ExportOffer> offers;
    QString message;
    qint64 freeBytes = 0;
    std::vector<ExportProgress> progress;
    std::vector<ExportOutcome> outcomes;
    bool onWindowsThread = true;
    bool ended = false;
};

/// Calls that write nothing: format "bad" fails, every other is written and verified.
ExportCalls scriptedCalls()
{
    ExportCalls calls;
    calls.write = [](const std::filesystem::path&, const std::string& format,
                      const std::filesystem::path& output, Observer& observer, RunControl,
                      const ExportDetails& details) {
        if (format == "bad") {
            fail(ErrorCode::WriteFailed, "the disk is full", {{"file", output.string()}});
        }
        observer.on_event({0, 0, Warning{"export", "lm_head stays BF16" + details.notes}});
        observer.on_event({1, 0, StageProgress{Stage::Export, 7, 7, "tensors"}});
        return ExportReport{format, output.string(), 1000};
    };
    calls.verify = [](const std::filesystem::path&, const std::filesystem::path&) {
        return std::vector<std::string>();
    };
    calls.files = [](const std::filesystem::path&) {
        return std::vector<ExportFile>{{"a.safetensors", 1000, "abcd"}};
    };
    calls.serveTexts = [](const std::string& format, const std::filesystem::path&) {
        return std::vector<ServeText>{{"vLLM", ServeKind::Command, "serve " + format}};
    };
    calls.compare = [](const std::filesystem::path&, const std::filesystem::path&,
                        Observer& observer, const RunControl&) {
        observer.on_event({0, 0, StageProgress{Stage::Evaluate, 3, 3, "tokens"}});
        return std::vector<AnswerPair>{{"Why?", "So.", "So.", -1}};
    };
    return calls;
}

} // namespace

class ExportThreadTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void goesOnAfterAFailedExport();
    void reportsProgressAndNotesOfTheCore();
    void keepsAnExportWhoseCheckFails();
    void passesTheDetailsOn();
    void comparesAnswersOnlyWhenAsked();
    void keepsAnExportWhoseAnswersCannotBeCompared();
    void keepsAnExportWhoseComparisonIsCancelled();
    void findsAModelCardOrSaysWhyNot();
    void cancelEndsTheExportAndTheOnesAfterIt();
    void cancelsWhenItIsDestroyed();
    void findsTheSpaceOfAFolderThatIsNotMadeYet();
    void saysWhyThereAreNoOffers();
    void exportsARealRun();
};

void ExportThreadTest::goesOnAfterAFailedExport()
{
    ExportThread worker(scriptedCalls());
    Collector seen(worker);
    worker.startExports({}, {{"bad", "/a"}, {"good", "/b"}});
    QTRY_VERIFY(seen.ended);
    QCOMPARE(seen.outcomes.size(), std::size_t(2));
    QCOMPARE(seen.outcomes[0].state, JobState::Failed);
    QCOMPARE(seen.outcomes[0].errorCode, ErrorCode::WriteFailed);
    QVERIFY(seen.outcomes[0].message.contains(QStringLiteral("the disk is full")));
    QCOMPARE(seen.outcomes[1].state, JobState::Done);
    QCOMPARE(seen.outcomes[1].path, QStringLiteral("/b"));
    QCOMPARE(seen.outcomes[1].bytes, int64_t(1000));
    QCOMPARE(seen.outcomes[1].serveTexts.size(), std::size_t(1));
    QCOMPARE(seen.outcomes[1].serveTexts[0].text, std::string("serve good"));
    QCOMPARE(seen.outcomes[1].uploadCommand, QStringLiteral("hf upload ACCOUNT/b /b"));
    QCOMPARE(seen.outcomes[1].files.size(), std::size_t(1));
    seen.ended = false;
    worker.startExports({}, {{"good", "/c"}});
    QTRY_VERIFY(seen.ended);
    QCOMPARE(seen.outcomes.size(), std::size_t(3));
}

void ExportThreadTest::reportsProgressAndNotesOfTheCore()
{
    ExportThread worker(scriptedCalls());
    Collector seen(worker);
    worker.startExports({}, {{"good", "/a"}});
    QTRY_VERIFY(seen.ended);
    QVERIFY(seen.onWindowsThread);
    QCOMPARE(seen.progress.size(), std::size_t(3)); // begins, all tensors, reading back
    QCOMPARE(seen.progress[1].done, int64_t(7));
    QCOMPARE(seen.progress[1].unit, QStringLiteral("tensors"));
    QCOMPARE(seen.progress[2].step, ui::ExportStep::ReadingBack);
    QCOMPARE(seen.outcomes[0].notes, QStringList{QStringLiteral("lm_head stays BF16")});
}

void ExportThreadTest::keepsAnExportWhoseCheckFails()
{
    ExportCalls calls = scriptedCalls();
    calls.verify = [](const std::filesystem::path&, const std::filesystem::path&) {
        return std::vector<std::string>{"tensor a differs"};
    };
    calls.serveTexts = [](const std::string&,
                           const std::filesystem::path& path) -> std::vector<ServeText> {
        fail(ErrorCode::FileNotFound, "no GGUF file", {{"file", path.string()}});
    };
    ExportThread worker(calls);
    Collector seen(worker);
    worker.startExports({}, {{"good", "/a"}});
    QTRY_VERIFY(seen.ended);
    QCOMPARE(seen.outcomes[0].state, JobState::Done);
    QCOMPARE(seen.outcomes[0].findings.size(), 2);
    QCOMPARE(seen.outcomes[0].findings[0], QStringLiteral("tensor a differs"));
    QVERIFY(seen.outcomes[0].findings[1].contains(QStringLiteral("no GGUF file")));
}

void ExportThreadTest::passesTheDetailsOn()
{
    ExportCalls calls = scriptedCalls();
    calls.card = [](const std::filesystem::path&, const std::string&,
                     const ExportDetails& details) { return "by " + details.author; };
    ExportThread worker(calls);
    Collector seen(worker);
    ExportOrder order{"good", "/a"};
    order.details.notes = ", and more";
    order.details.author = "Ada";
    worker.startExports({}, {order});
    QTRY_VERIFY(seen.ended);
    QCOMPARE(seen.outcomes[0].notes, QStringList{QStringLiteral("lm_head stays BF16, and more")});
    QString card;
    connect(&worker, &ExportThread::cardFound, &worker,
        [&card](const std::string&, const QString& text) { card = text; });
    worker.findCard({}, "good", order.details);
    QTRY_COMPARE(card, QStringLiteral("by Ada"));
}

void ExportThreadTest::comparesAnswersOnlyWhenAsked()
{
    ExportThread worker(scriptedCalls());
    Collector seen(worker);
    worker.startExports({}, {{"one", "/a"}, {"two", "/b", true}});
    QTRY_VERIFY(seen.ended);
    QVERIFY(seen.outcomes[0].answers.empty());
    QCOMPARE(seen.outcomes[1].answers.size(), std::size_t(1));
    QCOMPARE(seen.progress.back().step, ui::ExportStep::ComparingAnswers);
    QCOMPARE(seen.progress.back().index, 1);
    QCOMPARE(seen.progress.back().done, int64_t(3));
}

void ExportThreadTest::keepsAnExportWhoseAnswersCannotBeCompared()
{
    ExportCalls calls = scriptedCalls();
    calls.compare = [](const std::filesystem::path&, const std::filesystem::path&, Observer&,
                        const RunControl&) -> std::vector<AnswerPair> {
        fail(ErrorCode::OutOfMemory, "the system has no memory left");
    };
    ExportThread worker(calls);
    Collector seen(worker);
    worker.startExports({}, {{"one", "/a", true}});
    QTRY_VERIFY(seen.ended);
    QCOMPARE(seen.outcomes[0].state, JobState::Done);
    QCOMPARE(seen.outcomes[0].findings, QStringList());
    QVERIFY(seen.outcomes[0].notes.back().contains(QStringLiteral("no memory left")));
}

void ExportThreadTest::keepsAnExportWhoseComparisonIsCancelled()
{
    std::atomic<bool> begun = false;
    ExportCalls calls = scriptedCalls();
    calls.compare = [&begun](const std::filesystem::path&, const std::filesystem::path&, Observer&,
                        RunControl control) -> std::vector<AnswerPair> {
        begun = true;
        while (true) {
            control.checkpoint();
            QThread::yieldCurrentThread();
        }
    };
    ExportThread worker(calls);
    Collector seen(worker);
    worker.startExports({}, {{"one", "/a", true}, {"two", "/b", true}});
    QTRY_VERIFY(begun);
    worker.cancel();
    QTRY_VERIFY(seen.ended);
    QCOMPARE(seen.outcomes[0].state, JobState::Done);
    QVERIFY(seen.outcomes[0].notes.back().contains(QStringLiteral("cancelled")));
    QCOMPARE(seen.outcomes[1].state, JobState::Cancelled);
}

void ExportThreadTest::findsAModelCardOrSaysWhyNot()
{
    ExportCalls calls = scriptedCalls();
    calls.card = [](const std::filesystem::path& run, const std::string& format,
                     const ExportDetails&) {
        if (format == "bad") {
            fail(ErrorCode::UnsupportedFormat, "unknown output format");
        }
        return "# " + run.string() + " " + format;
    };
    ExportThread worker(calls);
    QString found, failed;
    connect(&worker, &ExportThread::cardFound, &worker,
        [&found](const std::string&, const QString& text) { found = text; });
    connect(&worker, &ExportThread::cardFailed, &worker,
        [&failed](const std::string&, const QString& text) { failed = text; });
    worker.findCard(QStringLiteral("/run"), "gguf", {});
    worker.findCard(QStringLiteral("/run"), "bad", {});
    QTRY_COMPARE(found, QStringLiteral("# /run gguf"));
    QTRY_VERIFY(failed.contains(QStringLiteral("unknown output format")));
}

void ExportThreadTest::cancelEndsTheExportAndTheOnesAfterIt()
{
    std::atomic<int> begun = 0;
    ExportCalls calls = scriptedCalls();
    calls.write = [&begun](const std::filesystem::path&, const std::string&,
                      const std::filesystem::path&, Observer&, RunControl control,
                      const ExportDetails&) -> ExportReport {
        ++begun;
        while (true) {
            control.checkpoint();
            QThread::yieldCurrentThread();
        }
    };
    ExportThread worker(calls);
    Collector seen(worker);
    worker.startExports({}, {{"one", "/a"}, {"two", "/b"}});
    QTRY_COMPARE(begun.load(), 1);
    worker.cancel();
    QTRY_VERIFY(seen.ended);
    QCOMPARE(begun.load(), 1);
    QCOMPARE(seen.outcomes.size(), std::size_t(2));
    QCOMPARE(seen.outcomes[0].state, JobState::Cancelled);
    QCOMPARE(seen.outcomes[1].state, JobState::Cancelled);
}

void ExportThreadTest::cancelsWhenItIsDestroyed()
{
    std::atomic<bool> begun = false;
    std::atomic<bool> left = false;
    ExportCalls calls = scriptedCalls();
    calls.write = [&begun, &left](const std::filesystem::path&, const std::string&,
                      const std::filesystem::path&, Observer&, RunControl control,
                      const ExportDetails&) -> ExportReport {
        begun = true;
        while (!control.cancelled()) {
            QThread::yieldCurrentThread();
        }
        left = true;
        throw Cancelled();
    };
    {
        ExportThread worker(calls);
        worker.startExports({}, {{"one", "/a"}});
        QTRY_VERIFY(begun);
    }
    QVERIFY(left);
}

void ExportThreadTest::findsTheSpaceOfAFolderThatIsNotMadeYet()
{
    const QTemporaryDir folder;
    ExportThread worker;
    Collector seen(worker);
    worker.findFreeSpace(folder.filePath(QStringLiteral("not/yet")));
    QTRY_VERIFY(seen.freeBytes > 0);
}

void ExportThreadTest::saysWhyThereAreNoOffers()
{
    const QTemporaryDir folder;
    ExportThread worker;
    Collector seen(worker);
    worker.findOffers(folder.path());
    QTRY_VERIFY2(seen.message.contains(folder.path()), qPrintable(seen.message));
    QVERIFY(seen.offers.empty());
}

void ExportThreadTest::exportsARealRun()
{
    const QTemporaryDir folder;
    write_tiny_model(folder.filePath(QStringLiteral("model")).toStdString());
    JobSpec spec;
    spec.model.path = folder.filePath(QStringLiteral("model")).toStdString();
    spec.scheme.scheme = "W4A16G32";
    spec.recipe.name = "rtn";
    spec.recipe.iters = 0;
    spec.recipe.nsamples = 0;
    spec.evaluation.metrics.clear();
    spec.runtime.device = "cpu";
    const QString run = folder.filePath(QStringLiteral("run"));
    spec.runtime.run_dir = run.toStdString();
    NullObserver quiet;
    const Outcome outcome = bitsmith::run(spec, false, quiet, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    ExportThread worker;
    Collector seen(worker);
    worker.findOffers(run);
    QTRY_VERIFY2(!seen.offers.empty(), qPrintable(seen.message));
    QVERIFY(seen.offers.front().fits);
    QCOMPARE(seen.facts.details.model_name, std::string("model"));
    QVERIFY(!seen.facts.tokenizer.empty());
    const std::string format = seen.offers.front().format;
    const QString output = folder.filePath(QStringLiteral("out"));
    worker.startExports(run, {{"no_such_format", "/nowhere"}, {format, output.toStdString()}});
    QTRY_VERIFY_WITH_TIMEOUT(seen.ended, 60000);
    QCOMPARE(seen.outcomes[0].errorCode, ErrorCode::UnsupportedFormat);
    QVERIFY2(seen.outcomes[1].state == JobState::Done, qPrintable(seen.outcomes[1].message));
    QCOMPARE(seen.outcomes[1].findings, QStringList());
    QVERIFY(seen.outcomes[1].bytes > 0);
    QVERIFY(!seen.outcomes[1].files.empty());
    QCOMPARE(read_run_report(run.toStdString())->exports.back().path,
        seen.outcomes[1].path.toStdString());
    QVERIFY(QDir(output).exists());
}

BITSMITH_TEST(ExportThreadTest)
#include "export_thread_test.moc"
