// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs calibrated on a mixture: what each source has to say.
#include "run/run_folder.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;

namespace {

std::string lines(const char* word, int step)
{
    std::string text;
    for (int i = 0; i < 400; ++i) {
        text += word + std::to_string(i * step % 97) + ' ';
    }
    return text;
}

JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp)
{
    JobSpec spec;
    spec.model.path = tiny.path();
    spec.scheme.scheme = "W2A16G32";
    spec.recipe = named_recipe("opt_rtn");
    spec.recipe.nsamples = 24;
    spec.recipe.seqlen = 32;
    spec.calibration.dataset = temp.write("a.txt", lines("alpha ", 5)).string() + ","
        + temp.write("b.txt", lines("beta ", 7)).string() + ":num=8";
    spec.calibration.holdout = 0.25;
    spec.exports.formats = {};
    spec.evaluation.metrics = {"kld", "ppl"};
    spec.runtime.run_dir = (temp / "run").string();
    return spec;
}

std::vector<MetricReady> metrics_of(const RecordingObserver& observer, const char* metric)
{
    std::vector<MetricReady> found;
    for (const Event& event : observer.events) {
        const MetricReady* item = event.get_if<MetricReady>();
        if (item != nullptr && item->metric == metric) {
            found.push_back(*item);
        }
    }
    return found;
}

} // namespace

class SourceMetricsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void measuresTheHeldOutTextOfEachSource();
    void keepsTheSourcesInTheRunFolder();
    void saysNothingMoreAboutASingleSource();
};

void SourceMetricsTest::measuresTheHeldOutTextOfEachSource()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    RecordingObserver observer;
    const Outcome outcome = run(job(tiny, temp), false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const std::vector<MetricReady> found = metrics_of(observer, "kld_mean");
    QCOMPARE(found.size(), std::size_t(3));
    QVERIFY(found[0].task.ends_with("a.txt"));
    QVERIFY(found[1].task.ends_with("b.txt"));
    QCOMPARE(found[2].task, std::string("held-out calibration text")); // the latest one counts
    QVERIFY(found[0].value > 0 && found[0].value != found[1].value);
    // 16 and 8 samples of equal length, a quarter held out: the whole is the mean of its parts.
    const double mean = (4 * found[0].value + 2 * found[1].value) / 6;
    QVERIFY2(std::abs(found[2].value - mean) < 1e-4 * mean,
        qPrintable(QString("%1 against %2").arg(found[2].value).arg(mean)));
    QCOMPARE(metrics_of(observer, "ppl").size(), std::size_t(3));
}

void SourceMetricsTest::keepsTheSourcesInTheRunFolder()
{
    const TempFolder temp;
    const TinyCheckpoint tiny;
    NullObserver observer;
    const JobSpec spec = job(tiny, temp);
    const Outcome outcome = run(spec, false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const auto calibration = RunFolder::open(temp / "run")->load_calibration();
    QCOMPARE(calibration->sources,
        (std::vector<std::string>{(temp / "a.txt").string(), (temp / "b.txt").string()}));
    QCOMPARE(calibration->holdout, int64_t{6});
    QCOMPARE(calibration->source.sizes().vec(), (std::vector<int64_t>{24}));
    QCOMPARE(calibration->source.slice(0, 18).sum().item<int64_t>(), int64_t{2}); // of b.txt
}

void SourceMetricsTest::saysNothingMoreAboutASingleSource()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    RecordingObserver observer;
    JobSpec spec = job(tiny, temp);
    spec.calibration.dataset = (temp / "a.txt").string();
    const Outcome outcome = run(spec, false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    QCOMPARE(metrics_of(observer, "kld_mean").size(), std::size_t(1));
}

BITSMITH_TEST(SourceMetricsTest)
#include "source_metrics_test.moc"
