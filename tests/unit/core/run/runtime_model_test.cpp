// SPDX-License-Identifier: GPL-3.0-or-later
// Exported folders measured again: inputs of layers and the cache are rounded as in the run.
#include "eval/generator.h"
#include "run/runtime_model.h"
#include "run/stages.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "unit/core/run/calibrated_job.h"
#include "unit/core/run/rounded_run.h"

#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <cmath>

using namespace bitsmith;

namespace {

/// Every layer has several tiles of 128 x 128.
constexpr source::TinyModelShape kShape{.hidden = 192, .inner = 256};

struct Fixture
{
    Fixture(const std::string& scheme, const std::string& format, CacheType cache = CacheType::None)
    {
        spec.model.path = tiny.path();
        spec.scheme.scheme = scheme;
        spec.scheme.quant_lm_head = format == "llm_compressor";
        spec.recipe = named_recipe("opt_rtn");
        spec.recipe.nsamples = 8;
        spec.recipe.seqlen = 64;
        spec.recipe.touch_up = TouchUpMode::Off;
        spec.recipe.static_kv_dtype = cache;
        spec.calibration.dataset = temp.write("text.txt", calibration_text()).string();
        spec.evaluation = {{"ppl", "kld"}, spec.calibration.dataset, 512, 64};
        spec.exports.formats = {format};
        spec.exports.output = (temp / "out").string();
        spec.runtime.run_dir = (temp / "run").string();
    }
    /// The run's own figures.
    EvalReport run() const
    {
        NullObserver observer;
        const Outcome outcome = bitsmith::run(spec, false, observer, {});
        if (outcome.state != JobState::Done) {
            throw std::runtime_error(outcome.message);
        }
        return *outcome.report.eval;
    }
    EvalReport measured_again() const
    {
        NullObserver observer;
        return evaluate(
            {spec.exports.output, tiny.path(), spec.evaluation.text, 512, 64}, observer, {});
    }
    /// Figures of the weights alone.
    EvalReport without_rounding() const
    {
        const at::NoGradGuard no_grad;
        NullObserver observer;
        EventEmitter events(observer);
        RunContext context{events, {}, "cpu", 0};
        const auto reference = source::open_model(tiny.path());
        const auto folder = source::open_model(spec.exports.output);
        const hf::TextSide text = reference->load_text();
        const at::Tensor ids = eval::evaluation_windows({spec.evaluation.text, 512, 64}, &text);
        const model::CausalLm original = make_model(context, *reference, Purpose::Measuring);
        const model::CausalLm plain = make_model(context, *folder, Purpose::Measuring);
        const auto measured = [&](const model::CausalLm& model) {
            return eval::Measured{&model,
                eval::run_blocks(
                    context, model, ids, [&](int64_t i) { return model.load_block(i); }, 0, 2)};
        };
        return eval::compare(context, measured(plain), measured(original), ids);
    }

    TinyCheckpoint tiny{kShape};
    TempFolder temp;
    JobSpec spec;
};

bool is_near(double found, double expected)
{
    return std::abs(found - expected) <= 1e-4 * std::abs(expected) + 1e-9;
}

} // namespace

class RuntimeModelTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void givesTheFiguresOfTheRun_data();
    void givesTheFiguresOfTheRun();
    void generatesAndTracesWithRoundedInputs();
    void carriesStaticScalesAndTheCacheIntoConversions();
    void losesTheCacheInOtherFormats();
    void wantsTheScalesThatTheConfigurationSpeaksOf();
    void warnsOfWhatItCannotRound();
};

void RuntimeModelTest::givesTheFiguresOfTheRun_data()
{
    QTest::addColumn<std::string>("scheme");
    QTest::addColumn<std::string>("format");
    QTest::addColumn<bool>("has_cache");
    const auto row = [](const char* scheme, const char* format, bool has_cache = false) {
        QTest::addRow("%s in %s%s", scheme, format, has_cache ? ", FP8 cache" : "")
            << std::string(scheme) << std::string(format) << has_cache;
    };
    row("W8A8", "llm_compressor");
    row("FP8_STATIC", "llm_compressor");
    row("FP8_STATIC", "auto_round");
    row("FP8_DYNAMIC", "llm_compressor");
    row("FP8_BLOCK", "llm_compressor");
    row("FP8_BLOCK", "auto_round");
    row("FP8_BLOCK", "fp8");
    row("bits=8,group_size=0,data_type=fp8,act_bits=8,act_group_size=0,act_data_type=fp8,"
        "act_dynamic=false",
        "fp8");
    row("MXFP4", "llm_compressor");
    row("MXFP4_RCEIL", "auto_round");
    row("MXFP8", "llm_compressor");
    row("MXFP8", "auto_round");
    row("MXINT4", "auto_round");
    row("NVFP4", "llm_compressor");
    row("NVFP4", "auto_round");
    row("NVFP4_E5M3", "auto_round");
    row("W8A16G32", "llm_compressor", true);
    row("FP8_STATIC", "llm_compressor", true);
}

void RuntimeModelTest::givesTheFiguresOfTheRun()
{
    QFETCH(std::string, scheme);
    QFETCH(std::string, format);
    QFETCH(bool, has_cache);
    const Fixture f(scheme, format, has_cache ? CacheType::Fp8 : CacheType::None);
    const EvalReport run = f.run(), again = f.measured_again(), plain = f.without_rounding();
    QVERIFY2(is_near(*again.ppl, *run.ppl), qPrintable(QString::number(*again.ppl - *run.ppl)));
    QVERIFY2(is_near(*again.kld_mean, *run.kld_mean),
        qPrintable(QStringLiteral("%1 %2").arg(*again.kld_mean).arg(*run.kld_mean)));
    QVERIFY2(std::abs(*plain.kld_mean - *run.kld_mean) > 0.02 * *run.kld_mean,
        qPrintable(QStringLiteral("%1 %2").arg(*plain.kld_mean).arg(*run.kld_mean)));
}

void RuntimeModelTest::generatesAndTracesWithRoundedInputs()
{
    const Fixture f("MXFP4", "llm_compressor");
    f.run();
    const at::NoGradGuard no_grad;
    const std::vector<int64_t> ids = {72, 101, 108, 108, 111, 32};
    trace({f.spec.exports.output, "", ids, f.temp / "trace.safetensors"}, {});
    const tensor::SafetensorsReader traced(map_file(f.temp / "trace.safetensors"));

    const auto source = source::open_model(f.spec.exports.output);
    model::CausalLm model(source->spec, source->tensors, at::kFloat);
    put_runtime_head(model, *source);
    const model::BlockShared shared = model.shared(static_cast<int64_t>(ids.size()));
    at::Tensor rounded = model.embed(at::tensor(ids).unsqueeze(0)), plain = rounded;
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        rounded = load_runtime_block(model, *source, i)->forward(rounded, shared);
        plain = model.load_block(i)->forward(plain, shared);
    }
    QVERIFY(at::equal(traced.load("logits"), model.logits(rounded).squeeze(0)));
    QVERIFY(!at::allclose(traced.load("block.1"), plain.squeeze(0), 1e-3, 1e-3));

    NullObserver silent;
    EventEmitter events(silent);
    RunContext context{events, {}, "cpu", 0};
    const hf::TextSide text = source->load_text();
    std::vector<int32_t> stops = text.eos_ids;
    if (text.eos) {
        stops.push_back(*text.eos);
    }
    const auto greedy = [&](const eval::BlockProvider& blocks) {
        const eval::Generator generator(context, model, blocks);
        hf::TextStream stream(text.tokenizer);
        std::string produced;
        const auto prompt = text.tokenizer.encode("Hello ", true);
        for (const int32_t id : generator.generate(context, prompt, {64, 0, 0, 1, stops})) {
            produced += stream.push(id);
        }
        return produced;
    };
    const std::string produced = generate({f.spec.exports.output, "Hello ", false, 64}, silent, {});
    QCOMPARE(produced, greedy([&](int64_t i) { return load_runtime_block(model, *source, i); }));
    QVERIFY(produced != greedy({}));
}

void RuntimeModelTest::carriesStaticScalesAndTheCacheIntoConversions()
{
    const Fixture f("FP8_STATIC", "llm_compressor", CacheType::Fp8);
    const EvalReport run = f.run();
    NullObserver silent;
    const ConvertReport report =
        convert_model({f.spec.exports.output, "llm_compressor", "", f.temp / "again"}, silent, {});
    QCOMPARE(report.deviations, std::vector<std::string>());
    const EvalReport again = evaluate(
        {(f.temp / "again").string(), f.tiny.path(), f.spec.evaluation.text, 512, 64}, silent, {});
    QVERIFY(is_near(*again.kld_mean, *run.kld_mean));
}

void RuntimeModelTest::losesTheCacheInOtherFormats()
{
    const Fixture f("W8A16G32", "llm_compressor", CacheType::Fp8);
    f.run();
    NullObserver silent;
    const ConvertReport report =
        convert_model({f.spec.exports.output, "auto_round", "", f.temp / "other"}, silent, {});
    QCOMPARE(report.deviations.size(), std::size_t(1));
    QVERIFY(report.deviations.front().starts_with("key/value cache: "));
}

void RuntimeModelTest::wantsTheScalesThatTheConfigurationSpeaksOf()
{
    const Fixture f("FP8_STATIC", "llm_compressor");
    f.run();
    const std::filesystem::path file = f.temp / "out" / "model.safetensors";
    const std::string name = "model.layers.1.mlp.up_proj.input_scale";
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    {
        const tensor::SafetensorsReader reader(map_file(file));
        for (const tensor::TensorEntry& entry : reader.entries()) {
            if (entry.name != name) {
                tensors.emplace_back(entry.name, reader.load(entry.name).clone());
            }
        }
    }
    tensor::publish_safetensors(disk(), file, tensors, {{"format", "pt"}});
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({name}), f.measured_again());
    tensors.emplace_back(name, at::zeros({1}));
    tensor::publish_safetensors(disk(), file, tensors, {{"format", "pt"}});
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({name, "positive"}), f.measured_again());
}

void RuntimeModelTest::warnsOfWhatItCannotRound()
{
    struct Warnings : Observer
    {
        std::vector<std::string> texts;
        void on_event(const Event& event) override
        {
            if (const auto* warning = event.get_if<Warning>()) {
                texts.push_back(warning->text);
            }
        }
    };
    const Fixture f("W8A8", "llm_compressor");
    f.run();
    Json config = read_json_file(f.temp / "out" / "config.json");
    Json& description = config["quantization_config"];
    Json& inputs = description["config_groups"]["group_0"]["input_activations"];
    inputs["strategy"] = "tensor";
    inputs["dynamic"] = false;
    description["kv_cache_scheme"] = {{"num_bits", 4}, {"type", "float"}};
    f.temp.write("out/config.json", config.dump());
    Warnings observer;
    evaluate({f.spec.exports.output, "", f.spec.evaluation.text, 512, 64}, observer, {});
    QCOMPARE(observer.texts.size(), std::size_t(2));
    QVERIFY(observer.texts[0].find("15 layers") != std::string::npos);
    QVERIFY(observer.texts[1].find("keys and values") != std::string::npos);
}

BITSMITH_TEST(RuntimeModelTest)
#include "runtime_model_test.moc"
