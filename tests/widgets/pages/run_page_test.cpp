// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tests/widgets/support/recorded_run.h"
#include "widgets/controls/bit_map_view.h"
#include "widgets/controls/loss_panel.h"
#include "widgets/controls/stat_tile.h"
#include "widgets/controls/state_chip.h"
#include "widgets/models/layer_table_model.h"
#include "widgets/pages/run_page.h"
#include "widgets/plots/block_loss_plot.h"
#include "widgets/plots/step_loss_plot.h"
#include "widgets/plots/touch_up_plot.h"
#include "widgets/state/run_state.h"

#include <QComboBox>
#include <QPushButton>
#include <QSignalSpy>
#include <QTabWidget>
#include <QTableView>
#include <QToolButton>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;
using namespace Qt::StringLiterals;

namespace {

std::vector<Event> unfinished(int64_t blocks)
{
    testing::RunScript script;
    script.blocks = blocks;
    script.finish = false;
    return testing::scriptedRun(script);
}

} // namespace

class RunPageTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void saysWhatToDoWhileNoRunIsOpen();
    void showsARunningJob();
    void offersPauseAndCancelOnlyForAJobOfThisProgram();
    void offersResumeForARunThatStopped();
    void showsTheResultOfAFinishedRun();
    void showsTheCurveOfTheTouchUp();
    void looksTheSameLiveAndFromItsFolder();
    void selectsALayerEverywhere();
    void focusAloneSelectsNothing();
    void showsAFailureWithItsReason();
    void everyControlHasANameForScreenReaders();

private:
    QString tile(const QString& name) { return m_page->findChild<StatTile*>(name)->value(); }
    QString chip() { return m_page->findChild<StateChip*>()->text(); }
    bool shown(const QString& button) { return !m_page->findChild<QWidget*>(button)->isHidden(); }

    std::unique_ptr<RunState> m_state;
    std::unique_ptr<RunPage> m_page;
};

void RunPageTest::init()
{
    m_state = std::make_unique<RunState>();
    m_page = std::make_unique<RunPage>(m_state.get());
    m_page->resize(1200, 800);
    m_page->show();
}

void RunPageTest::cleanup()
{
    m_page.reset();
    m_state.reset();
}

void RunPageTest::saysWhatToDoWhileNoRunIsOpen()
{
    QVERIFY(m_page->findChild<QWidget*>(u"runEmptyNewJobButton"_s)->isVisible());
    for (const QLabel* label : m_page->findChildren<QLabel*>()) { // none is cut off
        QVERIFY2(!label->isVisible() || !label->wordWrap()
                || label->height() >= label->heightForWidth(label->width()),
            qPrintable(label->text()));
    }
    const QSignalSpy asked(m_page.get(), &RunPage::newJobRequested);
    m_page->findChild<QPushButton*>(u"runEmptyNewJobButton"_s)->click();
    QCOMPARE(asked.size(), 1);
}

void RunPageTest::showsARunningJob()
{
    m_state->fold(unfinished(10));
    m_page->header()->setControlState(RunControlState::Active);
    QCOMPARE(chip(), u"Running"_s);
    QCOMPARE(
        m_page->findChild<QLabel*>(u"activityLabel"_s)->text(), u"Block 10 of 10, step 25 of 50"_s);
    QVERIFY(tile(u"remainingTile"_s).startsWith(u"about"_s));
    QVERIFY(tile(u"gainTile"_s).startsWith(u"−"_s));
    auto* plot = m_page->findChild<StepLossPlot*>();
    QTRY_COMPARE(plot->pointCount(), 25);
    QVERIFY(plot->summary().startsWith(u"Loss of block 9"_s));
}

void RunPageTest::offersPauseAndCancelOnlyForAJobOfThisProgram()
{
    m_state->fold(unfinished(4));
    m_page->header()->setControlState(RunControlState::Idle);
    QVERIFY(!shown(u"pauseButton"_s));
    QVERIFY(!shown(u"cancelButton"_s));
    m_page->header()->setControlState(RunControlState::Active);
    QVERIFY(shown(u"pauseButton"_s));
    QVERIFY(shown(u"cancelButton"_s));
    QVERIFY(!shown(u"resumeButton"_s));
    QSignalSpy pauses(m_page->header(), &RunHeader::pauseRequested);
    m_page->findChild<QToolButton*>(u"pauseButton"_s)->click();
    m_page->findChild<QAction*>(u"pauseAfterBlockAction"_s)->trigger();
    QCOMPARE(pauses.size(), 2);
    QCOMPARE(pauses[0][0].value<PauseKind>(), PauseKind::Now);
    QCOMPARE(pauses[1][0].value<PauseKind>(), PauseKind::AfterBlock);
    m_page->header()->setControlState(RunControlState::Pausing);
    QCOMPARE(chip(), u"Pausing"_s);
    QVERIFY(shown(u"resumeButton"_s));
    m_page->header()->setControlState(RunControlState::Cancelling);
    QVERIFY(!m_page->findChild<QPushButton*>(u"cancelButton"_s)->isEnabled());
}

void RunPageTest::offersResumeForARunThatStopped()
{
    m_state->fold(unfinished(4));
    m_state->endOfFeed(JobState::Interrupted);
    QCOMPARE(chip(), u"Interrupted"_s);
    QVERIFY(shown(u"resumeButton"_s));
    const QSignalSpy asked(m_page->header(), &RunHeader::resumeRequested);
    m_page->findChild<QPushButton*>(u"resumeButton"_s)->click();
    QCOMPARE(asked.size(), 1);
}

void RunPageTest::showsTheResultOfAFinishedRun()
{
    m_state->fold(testing::scriptedRun());
    QCOMPARE(chip(), u"Done"_s);
    QVERIFY(!shown(u"resumeButton"_s));
    QCOMPARE(tile(u"progressTile"_s), u"100 %"_s);
    QCOMPARE(tile(u"klMeanTile"_s), u"0.0462"_s);
    QCOMPARE(tile(u"top1Tile"_s), u"90.7 %"_s);
    QVERIFY(m_page->findChild<QPushButton*>(u"exportShow1"_s) != nullptr);
    m_page->lossPanel()->setView(LossPanel::Blocks);
    QCOMPARE(m_page->findChild<BlockLossPlot*>()->pointCount(), 30);
    QVERIFY(!shown(u"lossTouchUpButton"_s)); // this run has none
    QCOMPARE(m_page->findChild<QTabWidget*>(u"runTabs"_s)->tabText(1), u"Log (1 warnings)"_s);
}

void RunPageTest::showsTheCurveOfTheTouchUp()
{
    std::vector<Event> events;
    for (const auto& [step, value] : {std::pair(0, 1.0), {8, 0.9}, {16, 0.8}}) {
        Event event;
        event.body =
            MetricReady{"touch-up, step " + std::to_string(step), "held_out_kld", value, {}};
        events.push_back(event);
    }
    m_state->fold(events);
    m_page->lossPanel()->setView(LossPanel::TouchUp);
    QVERIFY(shown(u"lossTouchUpButton"_s));
    const auto* plot = m_page->findChild<TouchUpPlot*>();
    QCOMPARE(plot->pointCount(), 3);
    QVERIFY2(plot->summary().contains(u"16"_s) && plot->summary().contains(u"20"_s),
        qPrintable(plot->summary()));
}

void RunPageTest::looksTheSameLiveAndFromItsFolder()
{
    const std::vector<Event> events = testing::scriptedRun();
    for (std::size_t i = 0; i < events.size(); i += 100) {
        m_state->fold({events.begin() + static_cast<std::ptrdiff_t>(i),
            events.begin() + static_cast<std::ptrdiff_t>(std::min(events.size(), i + 100))});
    }
    RunState fromFolder;
    RunPage other(&fromFolder);
    fromFolder.fold(events);
    fromFolder.endOfFeed(JobState::Done);
    for (const StatTile* tile : m_page->findChildren<StatTile*>()) {
        QCOMPARE(other.findChild<StatTile*>(tile->objectName())->value(), tile->value());
    }
    const auto* live = m_page->findChild<QTableView*>(u"layerTable"_s)->model();
    const auto* read = other.findChild<QTableView*>(u"layerTable"_s)->model();
    QCOMPARE(live->rowCount(), read->rowCount());
    for (int row = 0; row < live->rowCount(); ++row) {
        for (int column = 0; column < live->columnCount(); ++column) {
            QCOMPARE(live->index(row, column).data(), read->index(row, column).data());
        }
    }
}

void RunPageTest::selectsALayerEverywhere()
{
    m_state->fold(testing::scriptedRun());
    auto* map = m_page->findChild<BitMapView*>();
    auto* table = m_page->findChild<QTableView*>(u"layerTable"_s);
    map->setCurrentIndex(map->model()->index(4, 12));
    QCOMPARE(table->currentIndex().data(LayerTableModel::NameRole).toString(),
        u"model.layers.12.mlp.gate_proj"_s);
    QTRY_VERIFY(m_page->findChild<StepLossPlot*>()->summary().contains(u"block 12"_s));
    table->selectRow(0);
    QCOMPARE(map->currentIndex(), map->model()->index(0, 0));
    QTest::keyClick(map, Qt::Key_Escape);
    QVERIFY(!map->currentIndex().isValid());
    QTRY_VERIFY(m_page->findChild<StepLossPlot*>()->summary().contains(u"block 29"_s));
}

void RunPageTest::focusAloneSelectsNothing()
{
    m_state->fold(unfinished(10));
    auto* map = m_page->findChild<BitMapView*>();
    map->setFocus();
    QTRY_VERIFY(map->hasFocus());
    QVERIFY(!map->currentIndex().isValid());
    QTRY_VERIFY(m_page->findChild<StepLossPlot*>()->summary().contains(u"block 9"_s));
}

void RunPageTest::showsAFailureWithItsReason()
{
    std::vector<Event> events = unfinished(3);
    events.push_back({9999, events.back().time_ms,
        JobFinished{JobState::Failed, "write_failed", "the disk is full [file: /runs/a]", 4}});
    m_state->fold(events);
    QCOMPARE(chip(), u"Failed"_s);
    QCOMPARE(m_page->findChild<QLabel*>(u"activityLabel"_s)->text(),
        u"the disk is full [file: /runs/a]"_s);
    QVERIFY(shown(u"resumeButton"_s));
}

void RunPageTest::everyControlHasANameForScreenReaders()
{
    m_state->fold(testing::scriptedRun());
    for (const QWidget* widget : m_page->findChildren<QWidget*>()) {
        const bool focusable = widget->focusPolicy() & Qt::TabFocus;
        if (!focusable || !widget->isVisibleTo(m_page.get())
            || widget->objectName().startsWith(u"qt_"_s)) {
            continue;
        }
        const auto* button = qobject_cast<const QAbstractButton*>(widget);
        const bool named =
            !widget->accessibleName().isEmpty() || (button != nullptr && !button->text().isEmpty());
        const bool isPart = qobject_cast<const QTabBar*>(widget) != nullptr
            || qobject_cast<const QTabWidget*>(widget) != nullptr;
        QVERIFY2(named || isPart,
            qPrintable(widget->objectName() + QLatin1Char(' ')
                + QLatin1String(widget->metaObject()->className())));
    }
}

BITSMITH_TEST(RunPageTest)
#include "run_page_test.moc"
