// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/control.h>
#include <bitsmith/error.h>

#include <QtTest>

#include <atomic>
#include <thread>

using namespace bitsmith;

class ControlTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void throwsAtTheCheckpointAfterCancel();
    void waitsWhilePausedAndGoesOn();
    void turnsPauseAfterBlockIntoAPauseAtTheBlockEnd();
    void cancelEndsAPause();
};

void ControlTest::throwsAtTheCheckpointAfterCancel()
{
    RunControl control;
    control.checkpoint();
    control.cancel();
    QVERIFY_EXCEPTION_THROWN(control.checkpoint(), Cancelled);
}

void ControlTest::waitsWhilePausedAndGoesOn()
{
    RunControl control;
    control.pause(PauseKind::Now);
    std::atomic<int> pauses = 0;
    std::atomic<bool> passed = false;
    std::thread worker([&] {
        control.checkpoint([&](bool paused) { pauses += paused ? 1 : 10; });
        passed = true;
    });
    QTRY_COMPARE(pauses.load(), 1);
    QVERIFY(!passed);
    control.resume();
    worker.join();
    QCOMPARE(pauses.load(), 11);
}

void ControlTest::turnsPauseAfterBlockIntoAPauseAtTheBlockEnd()
{
    RunControl control;
    control.pause(PauseKind::AfterBlock);
    control.checkpoint([](bool) { QFAIL("paused inside the block"); });
    control.block_finished();
    std::atomic<bool> paused = false;
    std::thread worker([&] { control.checkpoint([&](bool) { paused = true; }); });
    QTRY_VERIFY(paused.load());
    control.resume();
    worker.join();
}

void ControlTest::cancelEndsAPause()
{
    RunControl control;
    control.pause(PauseKind::Now);
    std::atomic<bool> cancelled = false;
    std::thread worker([&] {
        try {
            control.checkpoint();
        } catch (const Cancelled&) {
            cancelled = true;
        }
    });
    control.cancel();
    worker.join();
    QVERIFY(cancelled.load());
}

BITSMITH_TEST(ControlTest)
#include "control_test.moc"
