// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "widgets/state/time_estimate.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::ui;

namespace {

/// A run of `total` blocks whose first ones took `seconds`; negative: taken from the run folder.
RunPicture tuning(int64_t total, const std::vector<double>& seconds)
{
    RunPicture picture;
    RunChanges changes;
    JobStarted job;
    job.blocks = total;
    picture.fold({0, 0, job}, changes);
    picture.fold({1, 0, StageStarted{Stage::Tune, {}}}, changes);
    for (std::size_t i = 0; i < seconds.size(); ++i) {
        BlockFinished block;
        block.block = static_cast<int64_t>(i);
        block.seconds = std::abs(seconds[i]);
        block.resumed = seconds[i] < 0;
        picture.fold({2, 0, block}, changes);
    }
    return picture;
}

} // namespace

class TimeEstimateTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void isUnknownBeforeTwoComputedBlocks();
    void doesNotCountBlocksFromTheRunFolder();
    void spansTheLastFiveBlocks();
    void countsTheDoneShareOfTheActiveBlock();
    void stopsWhileTheRunIsPaused();
    void showsARangeSteadily();
};

void TimeEstimateTest::isUnknownBeforeTwoComputedBlocks()
{
    QVERIFY(!remainingTime(tuning(10, {})));
    QVERIFY(!remainingTime(tuning(10, {4})));
    QVERIFY(remainingTime(tuning(10, {4, 4})));
}

void TimeEstimateTest::doesNotCountBlocksFromTheRunFolder()
{
    QVERIFY(!remainingTime(tuning(10, {-0.1, -0.1, -0.1, 4})));
    const auto range = remainingTime(tuning(10, {-0.1, -0.1, 4, 4}));
    QCOMPARE(range->low, 24.0);
}

void TimeEstimateTest::spansTheLastFiveBlocks()
{
    const auto range = remainingTime(tuning(10, {100, 4, 5, 4, 6, 5}));
    QCOMPARE(range->low, 16.0);
    QCOMPARE(range->high, 4 * 6 * 1.1);
}

void TimeEstimateTest::countsTheDoneShareOfTheActiveBlock()
{
    RunPicture picture = tuning(4, {10, 10});
    RunChanges changes;
    picture.fold({3, 0, BlockStarted{2, 7, 2}}, changes);
    picture.fold({4, 0, IterationDone{2, 0, 1, 1, 0}}, changes);
    QCOMPARE(remainingTime(picture)->low, 15.0);
}

void TimeEstimateTest::stopsWhileTheRunIsPaused()
{
    RunPicture picture = tuning(10, {4, 4});
    RunChanges changes;
    picture.fold({3, 0, JobPaused()}, changes);
    QVERIFY(!remainingTime(picture));
}

void TimeEstimateTest::showsARangeSteadily()
{
    SteadyRange steady;
    QCOMPARE(steady.update(TimeRange{100, 120}, 0)->high, 120.0);
    QCOMPARE(steady.update(TimeRange{60, 70}, 1000)->high, 120.0); // too soon
    QCOMPARE(steady.update(TimeRange{98, 118}, 9000)->high, 120.0); // too little
    QCOMPARE(steady.update(TimeRange{60, 70}, 9000)->high, 70.0);
    QVERIFY(!steady.update(std::nullopt, 9500));
}

BITSMITH_TEST(TimeEstimateTest)
#include "time_estimate_test.moc"
