// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/run_folder.h"
#include "support/test_main.h"
#include "unit/core/run/calibrated_job.h"

#include <bitsmith/catalog.h>

#include <QtTest>

using namespace bitsmith;

namespace {

/// Cancels the job behind its first block, whose outputs the run folder then holds.
struct Stopper : Observer
{
    void on_event(const Event& event) override
    {
        if (event.get_if<BlockFinished>() != nullptr) {
            control.cancel();
        }
    }
    RunControl control;
};

} // namespace

class TuneStageTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void computesWithTheWindowsItLooksAt_data();
    void computesWithTheWindowsItLooksAt();
    void settlesStatisticsOnSomeTokens();

private:
    const TinyCheckpoint tiny_;
};

void TuneStageTest::computesWithTheWindowsItLooksAt_data()
{
    QTest::addColumn<QString>("scheme");
    QTest::addColumn<int>("iters");
    QTest::addColumn<int>("windows");
    QTest::newRow("searched ranges") << "W4A16G32" << 0 << 128; // of 64 tokens: 8192
    QTest::newRow("a step") << "W4A16G32" << 1 << 160;
    QTest::newRow("largest inputs of all") << "FP8_STATIC" << 0 << 160;
}

void TuneStageTest::computesWithTheWindowsItLooksAt()
{
    QFETCH(QString, scheme);
    QFETCH(int, iters);
    QFETCH(int, windows);
    const TempFolder temp;
    JobSpec spec = calibrated_job(tiny_, temp, scheme.toStdString(), named_recipe("opt_rtn"));
    std::string text;
    for (int i = 0; i < 8; ++i) {
        text += calibration_text();
    }
    spec.calibration.dataset = temp.write("long.txt", text).string();
    spec.recipe.nsamples = 160;
    spec.recipe.iters = iters;
    spec.runtime.keep_inputs = true;
    Stopper stopper;
    const Outcome outcome = run(spec, false, stopper, stopper.control);
    QVERIFY2(outcome.state == JobState::Cancelled, outcome.message.c_str());
    const auto inputs = RunFolder::open(temp / "run")->load_inputs(1);
    QVERIFY(inputs.has_value());
    QCOMPARE(inputs->reference.size(0), int64_t{windows});
}

void TuneStageTest::settlesStatisticsOnSomeTokens()
{
    Recipe recipe = named_recipe("opt_rtn");
    const auto windows = [&recipe](int64_t count, int64_t tokens) {
        return windows_computed(recipe, Plan(), count, tokens);
    };
    QCOMPARE(windows(128, 512), int64_t{16});
    QCOMPARE(windows(128, 500), int64_t{17});
    QCOMPARE(windows(10, 512), int64_t{10});
    QCOMPARE(windows(128, 8192), recipe.batch_size); // losses are measured on a batch
    recipe.objective = Objective::Fisher;
    QCOMPARE(windows(128, 512), int64_t{128});
    recipe = named_recipe("gptq");
    QCOMPARE(windows(128, 512), int64_t{128});
    recipe = named_recipe("opt_rtn");
    recipe.static_kv_dtype = CacheType::Fp8;
    QCOMPARE(windows(128, 512), int64_t{128});
}

BITSMITH_TEST(TuneStageTest)
#include "tune_stage_test.moc"
