// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/main_window.h"
#include "app/gui/recorded_run.h"
#include "app/gui/screenshots.h"
#include "support/test_main.h"
#include "tests/widgets/support/recorded_run.h"
#include "widgets/pages/export_dialog.h"
#include "widgets/pages/run_page.h"
#include "widgets/state/job_draft.h"
#include "widgets/state/run_state.h"

#include <bitsmith/spec_json.h>

#include <QDialog>
#include <QImage>
#include <QLabel>
#include <QMessageBox>
#include <QPushButton>
#include <QSignalSpy>
#include <QStackedWidget>
#include <QTemporaryDir>
#include <QTimer>
#include <QToolButton>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::gui;
using namespace Qt::StringLiterals;

class MainWindowTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void init();
    void cleanup();
    void walksThroughItsPages();
    void showsAJobFromStartToEnd();
    void opensAJobFileAndAModel();
    void saysWhyAJobFileCannotBeOpened();
    void keepsAJobWhenClosingIsDeclined();
    void stopsAJobWhenClosingIsConfirmed();
    void opensTheExportDialogOfAFinishedRun();
    void listsWhatTheExportDialogHasWritten();
    void fillsANewJobForAFormatThatDoesNotFit();
    void readsItsBundledRecording();
    void writesAPictureOfEveryPageInBothThemes();

private:
    void makeWindow(double speed);
    int page() { return m_window->findChild<QStackedWidget*>(u"pageStack"_s)->currentIndex(); }

    ui::Theme* m_theme = nullptr;
    std::unique_ptr<MainWindow> m_window;
};

void MainWindowTest::initTestCase()
{
    m_theme = new ui::Theme(qApp);
}

void MainWindowTest::makeWindow(double speed)
{
    m_window = std::make_unique<MainWindow>(
        m_theme, std::make_unique<ReplayRunner>(testing::scriptedRun(), speed));
    m_window->show();
}

void MainWindowTest::init()
{
    makeWindow(0);
}

void MainWindowTest::cleanup()
{
    m_window.reset();
}

void MainWindowTest::walksThroughItsPages()
{
    QCOMPARE(page(), static_cast<int>(MainWindow::Home));
    m_window->findChild<QToolButton*>(u"newJobRailButton"_s)->click();
    QCOMPARE(page(), static_cast<int>(MainWindow::NewJob));
    m_window->findChild<QToolButton*>(u"runRailButton"_s)->click();
    QCOMPARE(page(), static_cast<int>(MainWindow::Run));
}

void MainWindowTest::showsAJobFromStartToEnd()
{
    m_window->startJob({}, false);
    QCOMPARE(page(), static_cast<int>(MainWindow::Run));
    QTRY_VERIFY(!m_window->controller()->isActive());
    QCOMPARE(m_window->runState()->picture().phase, ui::RunPhase::Done);
    QCOMPARE(m_window->runState()->picture().blocksDone(), 30);
}

void MainWindowTest::opensAJobFileAndAModel()
{
    const QTemporaryDir folder;
    const QString path = folder.filePath(u"a.bitsmith.json"_s);
    JobSpec spec;
    spec.model.path = "/models/a";
    spec.recipe.iters = 33;
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(QByteArray::fromStdString(to_json(spec)));
    file.close();
    m_window->openPath(path);
    QCOMPARE(page(), static_cast<int>(MainWindow::NewJob));
    QCOMPARE(m_window->draft()->spec().recipe.iters, int64_t(33));
    m_window->openPath(u"Qwen/Qwen3-0.6B"_s);
    QCOMPARE(m_window->draft()->spec().model.path, std::string("Qwen/Qwen3-0.6B"));
}

void MainWindowTest::saysWhyAJobFileCannotBeOpened()
{
    const QTemporaryDir folder;
    QFile file(folder.filePath(u"bad.json"_s));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("{\"recipe\": {\"itres\": 3}}");
    file.close();
    m_window->openPath(file.fileName());
    auto* box = m_window->findChild<QMessageBox*>(u"failureBox"_s);
    QVERIFY(box != nullptr);
    QVERIFY(box->informativeText().contains(u"itres"_s));
    box->close();
}

void MainWindowTest::keepsAJobWhenClosingIsDeclined()
{
    makeWindow(50);
    m_window->startJob({}, false);
    QTimer::singleShot(0, this, [] {
        auto* box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget());
        QVERIFY(box != nullptr);
        QCOMPARE(box->defaultButton(), box->button(QMessageBox::No));
        box->button(QMessageBox::No)->click();
    });
    QVERIFY(!m_window->close());
    QVERIFY(m_window->controller()->isActive());
}

void MainWindowTest::stopsAJobWhenClosingIsConfirmed()
{
    makeWindow(50);
    m_window->startJob({}, false);
    QTimer::singleShot(0, this, [] {
        auto* box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget());
        QVERIFY(box != nullptr);
        box->button(QMessageBox::Yes)->click();
    });
    QVERIFY(m_window->close());
    QVERIFY(!m_window->controller()->isActive());
    QCOMPARE(m_window->runState()->picture().phase, ui::RunPhase::Cancelled);
}

void MainWindowTest::opensTheExportDialogOfAFinishedRun()
{
    m_window->startJob({}, false);
    QTRY_VERIFY(!m_window->controller()->isActive());
    m_window->findChild<QPushButton*>(u"exportButton"_s)->click();
    const QPointer<QDialog> dialog = m_window->findChild<QDialog*>(u"exportDialog"_s);
    QVERIFY(dialog != nullptr && dialog->isModal());
    // The replayed run has no folder; the dialog says so in the core's words.
    const auto* message = dialog->findChild<QLabel*>(u"exportOffersMessage"_s);
    QTRY_VERIFY2(message->text().contains(u"runs/demo"_s), qPrintable(message->text()));
    QVERIFY(!dialog->findChild<QPushButton*>(u"exportStartButton"_s)->isEnabled());
    dialog->close();
    QTRY_VERIFY(dialog == nullptr);
}

void MainWindowTest::listsWhatTheExportDialogHasWritten()
{
    m_window->startJob({}, false);
    QTRY_VERIFY(!m_window->controller()->isActive());
    m_window->findChild<QPushButton*>(u"exportButton"_s)->click();
    auto* worker = m_window->findChild<ui::ExportWorker*>();
    const std::size_t before = m_window->runState()->picture().exports.size();
    ui::ExportOutcome outcome;
    outcome.order = {"fake", "/out"};
    outcome.path = u"/out"_s;
    outcome.state = JobState::Failed;
    Q_EMIT worker->finished(outcome);
    QCOMPARE(m_window->runState()->picture().exports.size(), before);
    outcome.state = JobState::Done;
    outcome.bytes = 7;
    Q_EMIT worker->finished(outcome);
    const std::vector<ExportFinished>& exports = m_window->runState()->picture().exports;
    QCOMPARE(exports.size(), before + 1);
    QVERIFY(exports.back() == (ExportFinished{"fake", "/out", 7, true}));
    QCOMPARE(m_window->runState()->picture().phase, ui::RunPhase::Done);
}

void MainWindowTest::fillsANewJobForAFormatThatDoesNotFit()
{
    JobSpec spec;
    spec.model.path = "/models/a";
    spec.recipe.iters = 33;
    m_window->startJob(spec, false);
    QTRY_VERIFY(!m_window->controller()->isActive());
    m_window->findChild<QPushButton*>(u"exportButton"_s)->click();
    const QPointer<ui::ExportDialog> dialog = m_window->findChild<ui::ExportDialog*>();
    ExportOffer offer;
    offer.format = "gguf";
    offer.own_scheme = "gguf:q4_0";
    Q_EMIT dialog->ownRunRequested(offer);
    QCOMPARE(page(), static_cast<int>(MainWindow::NewJob));
    QVERIFY(m_window->draft()->spec() == own_run(spec, "gguf", "gguf:q4_0"));
    QCOMPARE(m_window->draft()->spec().recipe.iters, int64_t(33));
}

void MainWindowTest::readsItsBundledRecording()
{
    const std::vector<Event> events = readRecordedRun(bundledRecording());
    QVERIFY(events.size() > 100);
    QVERIFY(std::any_of(events.begin(), events.end(),
        [](const Event& event) { return event.get_if<JobStarted>() != nullptr; }));
    QVERIFY(events.back().get_if<JobFinished>() != nullptr);
    try {
        readRecordedRun(u":/nothing"_s);
        QFAIL("a missing recording must be an error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
    }
}

void MainWindowTest::writesAPictureOfEveryPageInBothThemes()
{
    const QTemporaryDir folder;
    writeScreenshots(*m_theme, testing::scriptedRun(), folder.path());
    for (const QString& name :
        {u"home"_s, u"new-job"_s, u"run-empty"_s, u"run-live"_s, u"run-done"_s}) {
        const QImage light(folder.filePath(QString(name + u"-light.png"_s)));
        const QImage dark(folder.filePath(QString(name + u"-dark.png"_s)));
        QCOMPARE(light.size(), QSize(1440, 900));
        QCOMPARE(dark.size(), light.size());
        QVERIFY(light.pixelColor(2, 890).lightness() > 200);
        QVERIFY(dark.pixelColor(2, 890).lightness() < 60);
    }
    for (const QString& name : {u"export"_s, u"export-done"_s}) {
        const QImage light(folder.filePath(QString(name + u"-light.png"_s)));
        const QImage dark(folder.filePath(QString(name + u"-dark.png"_s)));
        QVERIFY(light.width() > 600 && light.size() == dark.size());
        QVERIFY(light.pixelColor(2, 2).lightness() > 200);
        QVERIFY(dark.pixelColor(2, 2).lightness() < 60);
    }
}

BITSMITH_TEST(MainWindowTest)
#include "main_window_test.moc"
