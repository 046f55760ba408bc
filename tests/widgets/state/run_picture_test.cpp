// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tests/widgets/support/recorded_run.h"
#include "widgets/state/run_state.h"

#include <QSignalSpy>
#include <QtTest>

#include <limits>

using namespace bitsmith;
using namespace bitsmith::ui;

namespace {

RunPicture pictureOf(const std::vector<Event>& events)
{
    RunPicture picture;
    RunChanges changes;
    for (const Event& event : events) {
        picture.fold(event, changes);
    }
    return picture;
}

Event at(int64_t ms, EventBody body)
{
    return {0, ms, std::move(body)};
}

} // namespace

class RunPictureTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void foldsAWholeRunIntoItsResult();
    void keepsFinishedBlocksOverASecondStart();
    void listsAnExportOnceOverASecondStart();
    void beginsABlockAgainAfterAPause();
    void findsTheLowestStepPastInvalidLosses();
    void addsLayersThatNoPlanNamed();
    void ignoresBlocksOutsideAnySensibleRange();
    void saysInterruptedOnlyWithoutAFinalEvent();
    void progressNeverFallsWithinAStart();
    void tellsViewsOncePerBatch();
    void dropsTheOldestLogWhenTheRingIsFull();
    void foldsExpertNumbersIntoOneModule();
};

void RunPictureTest::foldsAWholeRunIntoItsResult()
{
    const RunPicture run = pictureOf(testing::scriptedRun());
    QCOMPARE(run.phase, RunPhase::Done);
    QCOMPARE(run.blocksDone(), 30);
    QCOMPARE(run.layers.size(), std::size_t(211));
    QCOMPARE(run.blocks[7].series.steps.size(), std::size_t(50));
    QCOMPARE(run.exports.size(), std::size_t(2));
    QVERIFY(run.metric("kld_mean") != nullptr);
    QVERIFY(run.metric("nothing") == nullptr);
    QCOMPARE(run.progress(), 1.0);
    QVERIFY(*run.lossAgainstRounding() < 1);
    QCOMPARE(run.warnings, int64_t(1));
    QCOMPARE(run.layers.front().module, QStringLiteral("self_attn.q_proj"));
    QCOMPARE(run.layers.back().scheme, QStringLiteral("keep"));
}

void RunPictureTest::keepsFinishedBlocksOverASecondStart()
{
    testing::RunScript script;
    script.blocks = 4;
    script.finish = false;
    std::vector<Event> events = testing::scriptedRun(script);
    script.finish = true;
    script.resumedBlocks = 3;
    script.startMs += 3600000;
    RunPicture run = pictureOf(events);
    QCOMPARE(run.blocksDone(), 3);
    QCOMPARE(run.activeBlock, 3);
    RunChanges changes;
    const std::vector<Event> second = testing::scriptedRun(script);
    run.fold(second.front(), changes);
    QCOMPARE(run.blocksDone(), 3);
    QVERIFY(run.blocks[3].series.steps.empty());
    for (const Event& event : second) {
        run.fold(event, changes);
    }
    QCOMPARE(run.phase, RunPhase::Done);
    QCOMPARE(run.blocksDone(), 4);
    QVERIFY(run.blocks[0].result->resumed);
    QVERIFY(run.elapsedSeconds() < 3600);
}

void RunPictureTest::listsAnExportOnceOverASecondStart()
{
    std::vector<Event> events = testing::scriptedRun();
    events.push_back({0, 0, ExportFinished{"fake", "/elsewhere", 9, true}});
    QCOMPARE(pictureOf(events).phase, RunPhase::Done);
    const std::vector<Event> again = testing::scriptedRun();
    events.insert(events.end(), again.begin(), again.end());
    const RunPicture run = pictureOf(events);
    QCOMPARE(run.exports.size(), std::size_t(3));
    QCOMPARE(run.exports.front().path, std::string("/elsewhere"));
}

void RunPictureTest::beginsABlockAgainAfterAPause()
{
    const RunPicture run =
        pictureOf({at(1, BlockStarted{0, 7, 10}), at(2, IterationDone{0, 0, 3, 3, 0}),
            at(3, IterationDone{0, 1, 2, 2, 0}), at(4, IterationDone{0, 0, 4, 4, 0})});
    QCOMPARE(run.blocks[0].series.steps.size(), std::size_t(1));
    QCOMPARE(run.blocks[0].series.losses.back(), 4.0);
}

void RunPictureTest::findsTheLowestStepPastInvalidLosses()
{
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const RunPicture run =
        pictureOf({at(1, IterationDone{0, 0, nan, 0, 0}), at(2, IterationDone{0, 1, 2, 2, 0}),
            at(3, IterationDone{0, 2, nan, 2, 0}), at(4, IterationDone{0, 3, 5, 2, 0})});
    QCOMPARE(run.blocks[0].series.lowest, 1);
}

void RunPictureTest::addsLayersThatNoPlanNamed()
{
    LayerFinished layer;
    layer.block = 2;
    layer.layer = "model.layers.2.mlp.up_proj";
    layer.bits = 4.5;
    const RunPicture run = pictureOf({at(1, layer)});
    QCOMPARE(run.layers.size(), std::size_t(1));
    QCOMPARE(run.layers[0].module, QStringLiteral("mlp.up_proj"));
    QCOMPARE(run.layers[0].bits, 4.5);
}

void RunPictureTest::ignoresBlocksOutsideAnySensibleRange()
{
    const RunPicture run = pictureOf({at(1, BlockStarted{-3, 7, 10}),
        at(2, BlockStarted{int64_t(1) << 60, 7, 10}), at(3, IterationDone{-1, 0, 1, 1, 0}),
        at(4, BlockFinished{-1, 1, 1, 1, 1, 1, 1, false})});
    QVERIFY(run.blocks.empty());
}

void RunPictureTest::saysInterruptedOnlyWithoutAFinalEvent()
{
    testing::RunScript script;
    script.finish = false;
    RunPicture torn = pictureOf(testing::scriptedRun(script));
    QCOMPARE(torn.phase, RunPhase::Running);
    torn.endOfFeed(JobState::Interrupted);
    QCOMPARE(torn.phase, RunPhase::Interrupted);
    RunPicture whole = pictureOf(testing::scriptedRun());
    whole.endOfFeed(JobState::Interrupted);
    QCOMPARE(whole.phase, RunPhase::Done);
}

void RunPictureTest::progressNeverFallsWithinAStart()
{
    RunPicture run;
    RunChanges changes;
    double last = 0;
    for (const Event& event : testing::scriptedRun()) {
        run.fold(event, changes);
        QVERIFY2(run.progress() >= last - 0.011, qPrintable(QString::number(run.progress())));
        last = std::max(last, run.progress());
    }
}

void RunPictureTest::tellsViewsOncePerBatch()
{
    RunState state;
    const QSignalSpy steps(&state, &RunState::stepsChanged);
    const QSignalSpy plan(&state, &RunState::planChanged);
    const QSignalSpy layers(&state, &RunState::layersChanged);
    state.fold(testing::scriptedRun());
    QCOMPARE(steps.size(), 1);
    QCOMPARE(steps.front()[0].toInt(), 0);
    QCOMPARE(steps.front()[1].toInt(), 29);
    QCOMPARE(plan.size(), 1);
    QCOMPARE(layers.size(), 0);
}

void RunPictureTest::dropsTheOldestLogWhenTheRingIsFull()
{
    RunPicture run;
    RunChanges changes;
    for (int i = 0; i < 100001; ++i) {
        run.fold(at(i, LogLine{"run", std::to_string(i)}), changes);
    }
    QCOMPARE(run.log.size(), std::size_t(90001));
    QCOMPARE(run.droppedLog, int64_t(10000));
    QCOMPARE(run.log.back().text, QStringLiteral("100000"));
}

void RunPictureTest::foldsExpertNumbersIntoOneModule()
{
    QCOMPARE(moduleName("model.layers.3.mlp.experts.7.up_proj", 3),
        QStringLiteral("mlp.experts.*.up_proj"));
    QCOMPARE(moduleName("lm_head", -1), QStringLiteral("lm_head"));
}

BITSMITH_TEST(RunPictureTest)
#include "run_picture_test.moc"
