// SPDX-License-Identifier: GPL-3.0-or-later
// The end-to-end touch-up inside a job.
#include "run/run_folder.h"
#include "source/model_source.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <QtTest>

using namespace bitsmith;

namespace {

struct Recorder : Observer
{
    void on_event(const Event& event) override { events.push_back(event); }
    template <class T>
    std::vector<T> all() const
    {
        std::vector<T> found;
        for (const Event& event : events) {
            if (const T* item = event.get_if<T>()) {
                found.push_back(*item);
            }
        }
        return found;
    }
    std::vector<Event> events;
};

JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp)
{
    std::string text;
    for (int i = 0; i < 900; ++i) {
        text += "line " + std::to_string(i * i % 97) + (i % 5 == 0 ? ".\n" : ", ");
    }
    JobSpec spec;
    spec.model.path = tiny.path();
    spec.scheme.scheme = "W2A16G32";
    spec.recipe.iters = 10;
    spec.recipe.nsamples = 24;
    spec.recipe.seqlen = 64;
    spec.recipe.batch_size = 4;
    spec.calibration.dataset = temp.write("text.txt", text).string();
    spec.calibration.holdout = 0.25;
    spec.exports.formats = {"auto_round"};
    spec.exports.output = (temp / "out").string();
    spec.runtime.run_dir = (temp / "run").string();
    return spec;
}

} // namespace

class TouchUpTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void lowersTheDivergenceOfTheWholeModel();
    void isLeftOutWhereItDoesNotPay();
};

void TouchUpTest::lowersTheDivergenceOfTheWholeModel()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    Recorder recorder;
    const Outcome outcome = run(job(tiny, temp), false, recorder, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    std::vector<double> held_out;
    for (const MetricReady& metric : recorder.all<MetricReady>()) {
        if (metric.metric == "held_out_kld") {
            held_out.push_back(metric.value);
        }
    }
    QVERIFY(held_out.size() >= 3);
    QVERIFY2(held_out.back() < 0.97 * held_out.front(),
        qPrintable(QString("%1 -> %2").arg(held_out.front()).arg(held_out.back())));
    QVERIFY(outcome.report.seconds.touch_up > 0);

    // What was written is what was touched up; codes are those of the blocks.
    QCOMPARE(verify_export(temp / "out", temp / "run"), std::vector<std::string>());
    const auto folder = RunFolder::open(temp / "run");
    const std::string name = "model.layers.0.mlp.up_proj";
    const quant::QuantizedWeight touched = folder->load(name);
    const auto norms = folder->changed_norms();
    std::filesystem::remove(temp / "run" / "touched-up.safetensors");
    const quant::QuantizedWeight tuned = folder->load(name);
    QVERIFY(at::equal(touched.codes, tuned.codes));
    QVERIFY(!at::equal(touched.scales, tuned.scales));
    QVERIFY(!verify_export(temp / "out", temp / "run").empty());
    // Norms changed with them, and the export holds the changed ones.
    const std::string norm = "model.layers.0.input_layernorm.weight";
    QVERIFY(!at::equal(norms.at(norm), source::open_model(tiny.path())->tensors->load(norm)));
    QVERIFY(at::equal(
        norms.at(norm), source::open_model((temp / "out").string())->tensors->load(norm)));
    // The report says the errors of what was written.
    const auto& layers = outcome.report.layers;
    const auto layer = std::find_if(
        layers.begin(), layers.end(), [&](const LayerReport& l) { return l.name == name; });
    QVERIFY(layer != layers.end());
    QVERIFY(!layer->out_mse.has_value());
}

void TouchUpTest::isLeftOutWhereItDoesNotPay()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    JobSpec spec = job(tiny, temp);
    spec.scheme.scheme = "W8A16G32";
    Recorder recorder;
    QCOMPARE(run(spec, false, recorder, {}).state, JobState::Done);
    QVERIFY(!std::filesystem::exists(temp / "run" / "touched-up.safetensors"));
}

BITSMITH_TEST(TouchUpTest)
#include "touch_up_test.moc"
