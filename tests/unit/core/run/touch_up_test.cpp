// SPDX-License-Identifier: GPL-3.0-or-later
// The end-to-end touch-up inside a job.
#include "run/run_folder.h"
#include "run/touch_up_stage.h"
#include "source/model_source.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "unit/core/run/calibrated_job.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <algorithm>
#include <map>

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

/// Divergences on the held-out windows, the start first.
std::vector<double> divergences(const Recorder& recorder)
{
    std::vector<double> found;
    for (const MetricReady& metric : recorder.all<MetricReady>()) {
        if (metric.metric == "held_out_kld") {
            found.push_back(metric.value);
        }
    }
    return found;
}

using Layers = std::map<std::string, quant::QuantizedWeight>;

Layers load_all(const std::filesystem::path& run)
{
    const auto folder = RunFolder::open(run);
    Layers layers;
    for (const PlannedLayer& layer : folder->plan().layers) {
        if (layer.scheme.is_quantized()) {
            layers.emplace(layer.name, folder->load(layer.name));
        }
    }
    return layers;
}

/// Whether `part` is the same in all layers of both.
bool are_equal(const Layers& a, const Layers& b, at::Tensor quant::QuantizedWeight::*part)
{
    return std::all_of(a.begin(), a.end(), [&](const auto& item) {
        const at::Tensor &first = item.second.*part, &second = b.at(item.first).*part;
        return first.defined() == second.defined()
            && (!first.defined() || at::equal(first, second));
    });
}

JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp)
{
    JobSpec spec = calibrated_job(tiny, temp, "W2A16G32");
    spec.recipe.iters = 10;
    spec.recipe.touch_up = TouchUpMode::Auto;
    spec.recipe.nsamples = 24;
    return spec;
}

/// Without steps, touched up; rows of every layer are whole super-blocks.
JobSpec rounding_job(const TinyCheckpoint& tiny, const TempFolder& temp, const std::string& scheme)
{
    JobSpec spec = job(tiny, temp);
    spec.scheme.scheme = scheme;
    spec.recipe.iters = 0;
    spec.recipe.touch_up = TouchUpMode::On;
    spec.exports.formats = {scheme.starts_with("gguf:") ? "gguf" : "fake"};
    return spec;
}
constexpr source::TinyModelShape kWide{.hidden = 256, .inner = 256, .head_dim = 64};

} // namespace

class TouchUpTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void lowersTheDivergenceOfTheWholeModel();
    void touchesUpEveryKindOfNumber_data();
    void touchesUpEveryKindOfNumber();
    void saysThatPowersOfTwoStay();
    void takesMoreStepsWhereMostLayersHaveFewBits();
    void startsByItselfAtFewBits_data();
    void startsByItselfAtFewBits();
    void refusesScalesOfAnotherLayout();
    void isLeftOutWhereItDoesNotPay();
};

void TouchUpTest::lowersTheDivergenceOfTheWholeModel()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    Recorder recorder;
    const Outcome outcome = run(job(tiny, temp), false, recorder, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const std::vector<double> held_out = divergences(recorder);
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

void TouchUpTest::touchesUpEveryKindOfNumber_data()
{
    QTest::addColumn<std::string>("scheme");
    for (const char* name : {"NVFP4", "NVFP4_E5M3", "FP8_DYNAMIC", "FPW8A16", "gguf:q4_0",
             "gguf:q4_1", "gguf:q4_k", "gguf:q3_k"}) {
        QTest::newRow(name) << std::string(name);
    }
}

void TouchUpTest::touchesUpEveryKindOfNumber()
{
    QFETCH(std::string, scheme);
    const TinyCheckpoint tiny(kWide);
    const TempFolder temp;
    Recorder recorder;
    const Outcome outcome = run(rounding_job(tiny, temp, scheme), false, recorder, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const std::vector<double> held_out = divergences(recorder);
    QVERIFY(held_out.size() >= 3);
    const double best = *std::min_element(held_out.begin(), held_out.end());
    QVERIFY2(best < 0.97 * held_out.front(),
        qPrintable(QString("%1 -> %2").arg(held_out.front()).arg(best)));

    // What was measured is what was written, and only what the codec says has changed.
    QCOMPARE(verify_export(temp / "out", temp / "run"), std::vector<std::string>());
    const Layers touched = load_all(temp / "run");
    std::filesystem::remove(temp / "run" / "touched-up.safetensors");
    const Layers tuned = load_all(temp / "run");
    const Scheme parsed = parse_scheme(scheme);
    const auto parts = quant::codec_for(parsed).tunable_parts(parsed);
    for (const quant::WeightPart& part : quant::kWeightParts) {
        const bool is_tunable = std::any_of(parts.begin(), parts.end(),
            [&](const quant::TunablePart& p) { return p.part.tensor == part.tensor; });
        QVERIFY2(are_equal(touched, tuned, part.tensor) != is_tunable, part.name);
    }
    // Fused layers still share their scale per tensor.
    const auto divisor = [&](const char* name) {
        return touched.at(std::string("model.layers.1.self_attn.") + name).super_scales;
    };
    if (quant::has_tensor_scale(parsed)) {
        QVERIFY(at::equal(divisor("q_proj"), divisor("k_proj")));
        QVERIFY(at::equal(divisor("q_proj"), divisor("v_proj")));
    }
}

void TouchUpTest::saysThatPowersOfTwoStay()
{
    const TinyCheckpoint tiny(kWide);
    const TempFolder temp;
    Recorder recorder;
    const Outcome outcome = run(rounding_job(tiny, temp, "MXFP4"), false, recorder, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const std::vector<double> held_out = divergences(recorder);
    QVERIFY(held_out.size() >= 3);
    QVERIFY(*std::min_element(held_out.begin(), held_out.end()) < held_out.front());
    const std::vector<Warning> warnings = recorder.all<Warning>();
    const auto warning = std::find_if(
        warnings.begin(), warnings.end(), [](const Warning& w) { return w.id == "touch_up"; });
    QVERIFY(warning != warnings.end());
    QVERIFY2(warning->text.find("14 of 14 layers") != std::string::npos, warning->text.c_str());

    QCOMPARE(verify_export(temp / "out", temp / "run"), std::vector<std::string>());
    const std::string norm = "model.layers.0.input_layernorm.weight";
    QVERIFY(!at::equal(RunFolder::open(temp / "run")->changed_norms().at(norm),
        source::open_model(tiny.path())->tensors->load(norm)));
    const Layers touched = load_all(temp / "run");
    std::filesystem::remove(temp / "run" / "touched-up.safetensors");
    const Layers tuned = load_all(temp / "run");
    for (const quant::WeightPart& part : quant::kWeightParts) {
        QVERIFY2(are_equal(touched, tuned, part.tensor), part.name);
    }
}

void TouchUpTest::takesMoreStepsWhereMostLayersHaveFewBits()
{
    const auto steps_with = [](const char* four_bits) {
        const TinyCheckpoint tiny;
        const TempFolder temp;
        JobSpec spec = rounding_job(tiny, temp, "W2A16G32");
        spec.scheme.overrides = {{four_bits, "W4A16G32"}};
        Recorder recorder;
        run(spec, false, recorder, {});
        int64_t steps = 0;
        for (const StageProgress& progress : recorder.all<StageProgress>()) {
            steps = progress.unit == "steps" ? progress.total : steps;
        }
        return steps;
    };
    QCOMPARE(steps_with("*v_proj"), 24);
    QCOMPARE(steps_with("*mlp*"), 24);
    QCOMPARE(steps_with("*self_attn*"), 12);
}

void TouchUpTest::startsByItselfAtFewBits_data()
{
    QTest::addColumn<bool>("starts");
    for (const char* name :
        {"W2A16", "W4A16", "NVFP4", "NVFP4_E5M3", "gguf:q4_0", "gguf:q4_1", "gguf:q4_k"}) {
        QTest::newRow(name) << true;
    }
    for (const char* name : {"W8A16", "MXFP4", "MXINT4", "FP8_STATIC", "gguf:q5_k", "BF16"}) {
        QTest::newRow(name) << false;
    }
}

void TouchUpTest::startsByItselfAtFewBits()
{
    QFETCH(bool, starts);
    PlannedLayer layer;
    layer.block_index = 0;
    layer.scheme = parse_scheme(QTest::currentDataTag());
    Plan plan;
    plan.layers = {layer};
    Recipe recipe;
    QCOMPARE(wants_touch_up(recipe, plan), starts);
    recipe.iters = 0; // nothing was tuned
    QVERIFY(!wants_touch_up(recipe, plan));
    recipe.touch_up = TouchUpMode::On;
    QCOMPARE(wants_touch_up(recipe, plan), layer.scheme.is_quantized());
}

void TouchUpTest::refusesScalesOfAnotherLayout()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    JobSpec spec = job(tiny, temp);
    spec.recipe.iters = 0;
    spec.recipe.touch_up = TouchUpMode::Off;
    NullObserver silent;
    QCOMPARE(run(spec, false, silent, {}).state, JobState::Done);
    const std::string layer = "model.layers.0.mlp.up_proj";
    const at::Tensor scales = RunFolder::open(temp / "run")->load(layer).scales;
    const auto loads = [&](const std::string& name, const at::Tensor& values) {
        tensor::publish_safetensors(
            disk(), temp / "run" / "touched-up.safetensors", {{name, values}}, {});
        return RunFolder::open(temp / "run")->load(layer);
    };
    const at::Tensor halved = scales * 0.5;
    QVERIFY(at::equal(loads(layer + ".scales", halved).scales, halved));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({layer + ".scales"}), loads(layer, halved));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({layer + ".scales"}),
        loads(layer + ".scales", halved.to(at::kFloat)));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({layer + ".scales"}),
        loads(layer + ".scales", halved.narrow(0, 1, 8).clone()));
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
