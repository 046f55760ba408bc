// SPDX-License-Identifier: GPL-3.0-or-later
// A job that smooths: its norms in the run folder, in the export, after a resume and in the touch-up.
#include "run/run_folder.h"
#include "run/tune_stage.h"
#include "source/model_source.h"
#include "support/test_main.h"
#include "unit/core/run/calibrated_job.h"

#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;

namespace {

const std::string kNorm = "model.layers.0.input_layernorm.weight";

/// Keeps the divergences of the touch-up; stops the job behind its first block if asked to.
struct Watcher : Observer
{
    void on_event(const Event& event) override
    {
        if (const auto* metric = event.get_if<MetricReady>()) {
            if (metric->metric == "held_out_kld") {
                divergences.push_back(metric->value);
            }
        }
        if (stops && event.get_if<BlockFinished>() != nullptr) {
            control.cancel();
        }
    }
    RunControl control;
    bool stops = false;
    std::vector<double> divergences;
};

/// Norms that let a few channels through that are far larger than the others.
void add_outliers(TinyCheckpoint::Tensors& tensors)
{
    for (auto& [name, tensor] : tensors) {
        if (name.find("layernorm") != std::string::npos) {
            tensor.narrow(0, 5, 2).mul_(24);
        }
    }
}

JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp, const std::string& scheme)
{
    JobSpec spec = calibrated_job(tiny, temp, scheme, named_recipe("opt_rtn"));
    spec.recipe.smoothing = Smoothing::Awq;
    spec.recipe.start = Start::MinMax; // searched ranges leave nothing to smooth here
    return spec;
}

} // namespace

class SmoothingRunTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { tiny_.edit_tensors(add_outliers); }
    void exportsTheSmoothedNorms();
    void givesTheSameBytesAfterAResume();
    void isWhereTheTouchUpStarts();
    void leavesTheNormsAloneWhenOff();

private:
    at::Tensor original_norm() const
    {
        return source::open_model(tiny_.path())->tensors->load(kNorm);
    }

    const TinyCheckpoint tiny_;
};

void SmoothingRunTest::exportsTheSmoothedNorms()
{
    const TempFolder temp;
    Watcher watcher;
    const Outcome outcome = run(job(tiny_, temp, "W8A16G32"), false, watcher, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    QCOMPARE(verify_export(temp / "out", temp / "run"), std::vector<std::string>());
    const auto folder = RunFolder::open(temp / "run");
    const auto exported = source::open_model((temp / "out").string());
    const at::Tensor norm = folder->changed_norms().at(kNorm);
    QVERIFY(at::equal(norm, exported->tensors->load(kNorm)));
    QVERIFY(!at::equal(norm, original_norm()));

    // Norms and weights belong together: at 8 bits a block computes nearly what it did.
    const at::NoGradGuard no_grad;
    const auto source = source::open_model(tiny_.path());
    const model::CausalLm original(source->spec, source->tensors, at::kFloat);
    const model::CausalLm written(exported->spec, exported->tensors, at::kFloat);
    const at::Tensor hidden = original.embed(folder->load_calibration()->ids);
    const model::BlockShared shared = original.shared(hidden.size(1));
    const at::Tensor expected = original.load_block(0)->forward(hidden, shared) - hidden;
    const auto is_near = [&](const model::DecoderBlock& block) {
        const at::Tensor error = block.forward(hidden, shared) - hidden - expected;
        return error.norm().item<double>() < 0.03 * expected.norm().item<double>();
    };
    QVERIFY(is_near(*load_quantized_block(original, *folder, 0)));
    QVERIFY(is_near(*written.load_block(0)));
}

void SmoothingRunTest::givesTheSameBytesAfterAResume()
{
    const TempFolder whole, parts;
    Watcher undisturbed, stopped, resumed;
    JobSpec spec = job(tiny_, whole, "W4A16G32");
    QCOMPARE(run(spec, false, undisturbed, {}).state, JobState::Done);
    spec.runtime.run_dir = (parts / "run").string();
    spec.exports.output = (parts / "out").string();
    stopped.stops = true;
    QCOMPARE(run(spec, false, stopped, stopped.control).state, JobState::Cancelled);
    QVERIFY(!std::filesystem::exists(parts / "out"));
    const Outcome outcome = run(spec, true, resumed, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    QCOMPARE(sha256_file(parts / "out" / "model.safetensors"),
        sha256_file(whole / "out" / "model.safetensors"));
    const auto a = RunFolder::open(whole / "run"), b = RunFolder::open(parts / "run");
    const std::string layer = "model.layers.1.mlp.down_proj";
    QVERIFY(at::equal(a->factors(layer).columns, b->factors(layer).columns));
}

void SmoothingRunTest::isWhereTheTouchUpStarts()
{
    const TempFolder temp;
    Watcher watcher;
    JobSpec spec = job(tiny_, temp, "W8A16G32");
    spec.recipe.touch_up = TouchUpMode::On;
    const Outcome outcome = run(spec, false, watcher, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    // With other norms than those that the weights were made for it is as if nothing was learned.
    QVERIFY(!watcher.divergences.empty());
    QVERIFY2(watcher.divergences.front() < 0.1,
        qPrintable(QString::number(watcher.divergences.front())));

    const auto folder = RunFolder::open(temp / "run");
    const at::Tensor touched = folder->changed_norms().at(kNorm);
    QVERIFY(at::equal(touched, folder->norms(0).at(kNorm)));
    QVERIFY(at::equal(touched, source::open_model((temp / "out").string())->tensors->load(kNorm)));
    std::filesystem::remove(temp / "run" / "touched-up.safetensors");
    const at::Tensor before = folder->norms(0).at(kNorm);
    QVERIFY(!at::equal(before, original_norm()));
    QVERIFY(!at::equal(before, touched));
    const at::Tensor factor = touched.to(at::kFloat) / before.to(at::kFloat);
    QVERIFY((factor > 0.7).logical_and(factor < 1.4).all().item<bool>());
    // The errors that the report shows are those of the scaled weights.
    for (const LayerReport& layer : outcome.report.layers) {
        QVERIFY2(layer.bits == 16 || layer.sqnr_db > 30, layer.name.c_str());
    }
}

void SmoothingRunTest::leavesTheNormsAloneWhenOff()
{
    const TempFolder temp;
    Watcher watcher;
    JobSpec spec = job(tiny_, temp, "W4A16G32");
    spec.recipe.smoothing = Smoothing::Off;
    QCOMPARE(run(spec, false, watcher, {}).state, JobState::Done);
    QVERIFY(RunFolder::open(temp / "run")->changed_norms().empty());
    QVERIFY(at::equal(
        source::open_model((temp / "out").string())->tensors->load(kNorm), original_norm()));
}

BITSMITH_TEST(SmoothingRunTest)
#include "smoothing_run_test.moc"
