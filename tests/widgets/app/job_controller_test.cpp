// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/job_controller.h"
#include "support/test_main.h"
#include "tests/widgets/support/recorded_run.h"

#include <QSignalSpy>
#include <QThread>
#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::gui;

namespace {

Event step(int64_t iteration)
{
    return {iteration, iteration, IterationDone{0, iteration, 1, 1, 0}};
}

/// Collects what a controller hands over.
struct Collector : QObject
{
    explicit Collector(JobController& controller)
    {
        connect(&controller, &JobController::eventsArrived, this,
            [this](const std::vector<Event>& batch) {
                largest = std::max(largest, batch.size());
                wrongThread = wrongThread || QThread::currentThread() != thread();
                events.insert(events.end(), batch.begin(), batch.end());
            });
        connect(&controller, &JobController::finished, this,
            [this](const Outcome& result) { outcome = result; });
    }
    int count(std::string_view kind) const
    {
        return static_cast<int>(std::count_if(events.begin(), events.end(),
            [kind](const Event& event) { return event.kind() == kind; }));
    }

    std::vector<Event> events;
    std::optional<Outcome> outcome;
    std::size_t largest = 0;
    bool wrongThread = false;
};

/// Slow enough to be paused and cancelled in between: about 2 s.
std::unique_ptr<Runner> slowReplay()
{
    return std::make_unique<ReplayRunner>(testing::scriptedRun(), 50);
}

} // namespace

class JobControllerTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void deliversEveryEventInOrderOnTheWindowsThread();
    void finishesAfterTheLastEvent();
    void cancelEndsTheJob();
    void pausesAndContinues();
    void pausesAfterTheBlock();
    void runsASecondJobAfterTheFirst();
    void stopsTheThreadWhenItIsDestroyed();
    void wakesOnceForManyEvents();
    void thinsOnlyStepsAndOnlyWhenManyWait();
};

void JobControllerTest::deliversEveryEventInOrderOnTheWindowsThread()
{
    const std::vector<Event> recorded = testing::scriptedRun();
    JobController controller(std::make_unique<ReplayRunner>(recorded));
    Collector collector(controller);
    controller.start({}, false);
    QTRY_VERIFY(collector.outcome.has_value());
    QCOMPARE(collector.events.size(), recorded.size());
    for (std::size_t i = 0; i < recorded.size(); ++i) {
        QCOMPARE(collector.events[i].sequence, static_cast<int64_t>(i));
        QCOMPARE(collector.events[i].kind(), recorded[i].kind());
    }
    QVERIFY(!collector.wrongThread);
    QVERIFY(collector.largest <= 2000);
}

void JobControllerTest::finishesAfterTheLastEvent()
{
    JobController controller(std::make_unique<ReplayRunner>(testing::scriptedRun()));
    Collector collector(controller);
    bool complete = false;
    connect(&controller, &JobController::finished, &collector,
        [&] { complete = collector.count("job_finished") == 1; });
    controller.start({}, false);
    QVERIFY(controller.isActive());
    QTRY_VERIFY(collector.outcome.has_value());
    QVERIFY(complete);
    QVERIFY(!controller.isActive());
    QCOMPARE(collector.outcome->state, JobState::Done);
}

void JobControllerTest::cancelEndsTheJob()
{
    JobController controller(slowReplay());
    Collector collector(controller);
    controller.start({}, false);
    QTRY_VERIFY(!collector.events.empty());
    controller.cancel();
    QCOMPARE(controller.state(), JobController::State::Cancelling);
    QTRY_VERIFY(collector.outcome.has_value());
    QCOMPARE(collector.outcome->state, JobState::Cancelled);
    QVERIFY(collector.count("block_finished") < 30);
}

void JobControllerTest::pausesAndContinues()
{
    JobController controller(slowReplay());
    Collector collector(controller);
    controller.start({}, false);
    QTRY_VERIFY(collector.count("block_started") > 0);
    controller.pause(PauseKind::Now);
    QTRY_COMPARE(collector.count("job_paused"), 1);
    QTest::qWait(100);
    const std::size_t seen = collector.events.size();
    QTest::qWait(200);
    QCOMPARE(collector.events.size(), seen);
    controller.resume();
    QTRY_COMPARE(collector.count("job_resumed"), 1);
    controller.cancel();
    QTRY_VERIFY(collector.outcome.has_value());
}

void JobControllerTest::pausesAfterTheBlock()
{
    JobController controller(slowReplay());
    Collector collector(controller);
    controller.start({}, false);
    QTRY_VERIFY(collector.count("block_started") > 0);
    controller.pause(PauseKind::AfterBlock);
    QTRY_COMPARE(collector.count("job_paused"), 1);
    QCOMPARE(collector.count("block_started"), collector.count("block_finished"));
    controller.cancel();
    QTRY_VERIFY(collector.outcome.has_value());
    QCOMPARE(collector.outcome->state, JobState::Cancelled);
}

void JobControllerTest::runsASecondJobAfterTheFirst()
{
    JobController controller(std::make_unique<ReplayRunner>(testing::scriptedRun()));
    Collector collector(controller);
    controller.start({}, false);
    QTRY_VERIFY(collector.outcome.has_value());
    collector.outcome.reset();
    controller.start({}, true);
    QTRY_VERIFY(collector.outcome.has_value());
    QCOMPARE(collector.count("job_finished"), 2);
}

void JobControllerTest::stopsTheThreadWhenItIsDestroyed()
{
    auto controller = std::make_unique<JobController>(slowReplay());
    controller->start({}, false);
    QElapsedTimer timer;
    timer.start();
    controller.reset();
    QVERIFY(timer.elapsed() < 1500);
}

void JobControllerTest::wakesOnceForManyEvents()
{
    int wakes = 0;
    EventQueue queue([&wakes] { ++wakes; });
    for (int i = 0; i < 100; ++i) {
        queue.on_event(step(i));
    }
    QCOMPARE(wakes, 1);
    QCOMPARE(queue.take(60).size(), std::size_t(60));
    queue.on_event(step(100));
    QCOMPARE(wakes, 1); // some are still waiting: the taker comes again by itself
    QCOMPARE(queue.take(1000).front().sequence, int64_t(60));
    queue.on_event(step(101));
    QCOMPARE(wakes, 2);
}

void JobControllerTest::thinsOnlyStepsAndOnlyWhenManyWait()
{
    EventQueue queue([] {});
    for (int64_t i = 0; i < 20000; ++i) {
        queue.on_event(step(i));
        if (i % 1000 == 0) {
            queue.on_event({i, i, LogLine{"run", "kept"}});
        }
    }
    const std::vector<Event> events = queue.take(100000);
    const auto logs = std::count_if(events.begin(), events.end(),
        [](const Event& event) { return event.get_if<LogLine>() != nullptr; });
    QCOMPARE(logs, std::ptrdiff_t(20));
    QVERIFY(queue.thinned() > 8000);
    QCOMPARE(events.size() + queue.thinned(), std::size_t(20020));
    int64_t last = -1;
    for (const Event& event : events) {
        if (const auto* done = event.get_if<IterationDone>()) {
            QVERIFY(done->iteration > last);
            QVERIFY(done->iteration < 10000 || done->iteration % 10 == 0);
            last = done->iteration;
        }
    }
}

BITSMITH_TEST(JobControllerTest)
#include "job_controller_test.moc"
