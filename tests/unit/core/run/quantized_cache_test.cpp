// SPDX-License-Identifier: GPL-3.0-or-later
// A job whose runtime keeps keys and values in FP8.
#include "run/run_folder.h"
#include "run/stages.h"
#include "run/tune_stage.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "unit/core/run/calibrated_job.h"
#include "unit/core/run/sample_run.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;

namespace {

JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp)
{
    JobSpec spec = calibrated_job(tiny, temp, "W4A16G32");
    spec.recipe.iters = 2;
    spec.recipe.nsamples = 8;
    spec.recipe.static_kv_dtype = CacheType::Fp8;
    spec.calibration.holdout = JobSpec().calibration.holdout;
    spec.exports.formats = {"llm_compressor"};
    return spec;
}

/// Finds what passes.
struct Largest : model::CacheTransform
{
    double keys = 0, values = 0;
    void apply(at::Tensor& k, at::Tensor& v) override
    {
        keys = std::max(keys, k.abs().max().item<double>());
        values = std::max(values, v.abs().max().item<double>());
    }
};

bool is_near(const at::Tensor& found, double expected)
{
    return std::abs(found.item<double>() - expected) < 0.02 * expected; // may be bf16
}

} // namespace

class QuantizedCacheTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void calibratesEveryBlockOnTheQuantizedChain();
    void roundsKeysAndValuesOfQuantizedBlocks();
    void keepsTheMaximaInTheRunFolder();
    void refusesOtherFormatsOfTheSameRun();
};

void QuantizedCacheTest::calibratesEveryBlockOnTheQuantizedChain()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    NullObserver observer;
    const Outcome outcome = run(job(tiny, temp), false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    QCOMPARE(verify_export(temp / "out", temp / "run"), std::vector<std::string>());

    const at::NoGradGuard no_grad;
    const auto folder = RunFolder::open(temp / "run");
    const auto source = source::open_model(tiny.path());
    const model::CausalLm model(source->spec, source->tensors, at::kFloat);
    const auto calibration = folder->load_calibration();
    at::Tensor hidden = model.embed(calibration->ids);
    const model::BlockShared shared = model.shared(calibration->ids.size(1));
    const tensor::SafetensorsReader exported(map_file(temp / "out" / "model.safetensors"));
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        const auto original = model.load_block(i);
        const auto largest = std::make_shared<Largest>();
        original->cache_transform = largest;
        original->forward(hidden, shared);
        const quant::CacheMaxima maxima = folder->cache(i);
        QVERIFY(maxima.defined());
        QVERIFY(is_near(maxima.keys, largest->keys));
        QVERIFY(is_near(maxima.values, largest->values));
        const std::string module = "model.layers." + std::to_string(i) + ".self_attn.";
        QVERIFY(at::equal(exported.load(module + "k_scale"), maxima.keys / 448.0));
        QVERIFY(at::equal(exported.load(module + "v_scale"), maxima.values / 448.0));
        hidden = load_quantized_block(model, *folder, i)->forward(hidden, shared);
    }
}

void QuantizedCacheTest::roundsKeysAndValuesOfQuantizedBlocks()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    NullObserver observer;
    const Outcome outcome = run(job(tiny, temp), false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());

    const at::NoGradGuard no_grad;
    const auto folder = RunFolder::open(temp / "run");
    const auto source = source::open_model(tiny.path());
    const model::CausalLm model(source->spec, source->tensors, at::kFloat);
    const auto block = load_quantized_block(model, *folder, 0);
    const at::Tensor hidden = model.embed(folder->load_calibration()->ids);
    const model::BlockShared shared = model.shared(hidden.size(1));
    model::KvCache cache;
    const at::Tensor rounded = block->forward(hidden, shared, &cache);
    const at::Tensor scale = folder->cache(0).keys / 448.0;
    const at::Tensor numbers = cache.keys / scale;
    QVERIFY(at::allclose(numbers, numbers.to(at::kFloat8_e4m3fn).to(at::kFloat), 1e-5, 1e-5));
    block->cache_transform = nullptr;
    QVERIFY(!at::equal(block->forward(hidden, shared), rounded));
}

void QuantizedCacheTest::keepsTheMaximaInTheRunFolder()
{
    const TempFolder temp;
    const JobSpec spec = sample_run::spec();
    const ModelInfo model = sample_run::model();
    tune::BlockResult with = sample_run::block(0);
    with.cache = {at::tensor({0.1F}), at::tensor({3.3F})};
    {
        const auto run =
            RunFolder::create(disk(), temp / "run", spec, model, build_plan(spec, model));
        run->publish_block(0, with, false);
        run->publish_block(1, sample_run::block(1), false);
    }
    auto run = RunFolder::resume(disk(), temp / "run", spec, model);
    QCOMPARE(run->finished_blocks(), int64_t{2});
    QVERIFY(at::equal(run->cache(0).keys, with.cache.keys));
    QVERIFY(at::equal(run->cache(0).values, with.cache.values));
    QVERIFY(!run->cache(1).defined());
    run.reset(); // its lock
    JobSpec other = spec;
    other.recipe.static_kv_dtype = CacheType::Fp8;
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"recipe.static_kv_dtype", "none", "fp8"}),
        RunFolder::resume(disk(), temp / "run", other, model));
}

void QuantizedCacheTest::refusesOtherFormatsOfTheSameRun()
{
    const TinyCheckpoint tiny;
    const TempFolder temp;
    NullObserver observer;
    JobSpec spec = job(tiny, temp);
    spec.exports.formats = {"auto_round"};
    const Outcome refused = run(spec, false, observer, {});
    QCOMPARE(refused.error_code, ErrorCode::InvalidSpec);
    spec.exports.formats = {};
    spec.exports.output.clear();
    const Outcome outcome = run(spec, false, observer, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({"auto_round", "llm_compressor"}),
        export_run(temp / "run", "auto_round", temp / "later", observer, {}));
    export_run(temp / "run", "llm_compressor", temp / "later", observer, {});
    QCOMPARE(verify_export(temp / "later", temp / "run"), std::vector<std::string>());
}

BITSMITH_TEST(QuantizedCacheTest)
#include "quantized_cache_test.moc"
