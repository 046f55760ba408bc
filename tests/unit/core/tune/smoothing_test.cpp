// SPDX-License-Identifier: GPL-3.0-or-later
// Scales on input channels: the block computes the same, rounding loses less.
#include "arch/registry.h"
#include "model/norm.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "tune/smoothing.h"
#include "unit/core/model/memory_tensors.h"

#include <bitsmith/observer.h>

#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tune;

namespace {

constexpr int64_t kTokens = 12;

model::DecoderSpec spec_of(const QString& type, int64_t inner = 48)
{
    Json config = {{"model_type", type.toStdString()}, {"hidden_size", 32},
        {"intermediate_size", inner}, {"num_hidden_layers", 1}, {"num_attention_heads", 4},
        {"num_key_value_heads", 2}, {"head_dim", 8}, {"vocab_size", 40},
        {"max_position_embeddings", 64}};
    if (type == "mixtral" || type == "gpt_oss") {
        config.update({{"num_local_experts", 4}, {"num_experts_per_tok", 2}});
    }
    return arch::family_for(config).spec_from_config(config);
}

model::BlockShared shared_for(const at::Tensor& hidden)
{
    return model::BlockShared(kTokens, 0, hidden.options());
}

/// A block whose norms let a few channels through that are far larger than the others.
std::unique_ptr<model::DecoderBlock> block_with_outliers(int64_t inner = 48)
{
    const model::DecoderSpec spec = spec_of("llama", inner);
    auto block = model::load_block(spec, 0, *random_weights(spec), at::kFloat);
    for (const model::BlockNorm& item : block->norms()) {
        item.norm->weight().narrow(0, 3, 2).mul_(30);
    }
    return block;
}

/// Weights that lose nothing in 3 bits in the right ranges, but not in those of their largest magnitudes.
void put_on_grid(model::DecoderBlock& block)
{
    for (const model::BlockLinear& entry : block.linears()) {
        at::Tensor& weight = entry.linear->weight;
        weight = at::randint(-3, 4, weight.sizes()).to(at::kFloat) * 0.125;
        weight.slice(1, 0, std::nullopt, 16).fill_(0.375);
    }
}

Plan plan_for(model::DecoderBlock& block, const std::string& scheme, const std::string& kept = "-")
{
    Plan plan;
    for (const model::BlockLinear& entry : block.linears()) {
        const model::Linear& linear = *entry.linear;
        if (entry.quantizable && linear.name.find(kept) == std::string::npos) {
            plan.layers.push_back({linear.name, 0, linear.weight.size(0), linear.weight.size(1),
                parse_scheme(scheme), "test"});
        }
    }
    return plan;
}

struct Tuned
{
    RecordingObserver observer;
    std::unique_ptr<model::DecoderBlock> block;
    BlockInputs inputs;
    BlockResult result;

    explicit Tuned(const Recipe& recipe, const std::string& kept = "-", int64_t inner = 48,
        bool is_on_grid = false)
        : block(block_with_outliers(inner))
    {
        if (is_on_grid) {
            put_on_grid(*block);
        }
        at::manual_seed(5);
        inputs.reference = at::randn({8, kTokens, 32});
        inputs.quantized = inputs.reference + at::randn({8, kTokens, 32}) * 0.01;
        EventEmitter emitter{observer};
        RunContext context{emitter, {}, "cpu", 42};
        result = tune_block(context, *block, shared_for(inputs.reference), inputs,
            plan_for(*block, "W3A16G16", kept), recipe);
    }

    const FinishedLayer& layer(const std::string& end) const
    {
        for (const FinishedLayer& layer : result.layers) {
            if (layer.name.ends_with(end)) {
                return layer;
            }
        }
        throw std::runtime_error("no layer " + end);
    }
};

Recipe recipe_of(Smoothing smoothing, int64_t iters = 0)
{
    Recipe recipe;
    recipe.iters = iters;
    recipe.batch_size = 4;
    recipe.selection = Selection::Last;
    recipe.start = Start::MinMax;
    recipe.smoothing = smoothing;
    return recipe;
}

} // namespace

class SmoothingTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void leavesRoundedInputsAloneByItself();
    void foldingLeavesTheBlockAlone_data();
    void foldingLeavesTheBlockAlone();
    void keepsNormsInNumbersOfTheCheckpoint_data();
    void keepsNormsInNumbersOfTheCheckpoint();
    void losesLessWithOutliers_data();
    void losesLessWithOutliers();
    void choosesByAFewOfManyRows();
    void leavesAloneWhatSearchedRangesHold();
    void factorsAreThoseOfTheWeights();
    void leavesInputsOfKeptLayersAlone();
    void changesNothingWhenOff();
    void refusesToSmoothWithoutData();
};

void SmoothingTest::leavesRoundedInputsAloneByItself()
{
    const auto block = block_with_outliers();
    const auto wants = [&](Smoothing smoothing, const std::string& scheme) {
        const Plan plan = plan_for(*block, scheme);
        return wants_smoothing(recipe_of(smoothing), planned_linears(*block, plan));
    };
    QVERIFY(wants(Smoothing::Auto, "W4A16G32"));
    QVERIFY(!wants(Smoothing::Auto, "MXFP4"));
    QVERIFY(wants(Smoothing::Awq, "MXFP4"));
    QVERIFY(!wants(Smoothing::Off, "W4A16G32"));
}

void SmoothingTest::foldingLeavesTheBlockAlone_data()
{
    QTest::addColumn<QString>("type");
    QTest::addColumn<int>("inputs");
    QTest::newRow("q, k, v; gate, up; down") << "llama" << 3;
    QTest::newRow("fused layers") << "phi3" << 3;
    QTest::newRow("norms of 1 + w") << "gemma2" << 3;
    QTest::newRow("an input per expert") << "mixtral" << 2 + 4;
    QTest::newRow("experts with biases") << "gpt_oss" << 2;
}

void SmoothingTest::foldingLeavesTheBlockAlone()
{
    QFETCH(QString, type);
    QFETCH(int, inputs);
    const at::NoGradGuard no_grad;
    const model::DecoderSpec spec = spec_of(type);
    const auto block = model::load_block(spec, 0, *random_weights(spec), at::kFloat);
    const at::Tensor hidden = at::randn({2, kTokens, 32});
    const at::Tensor before = block->forward(hidden, shared_for(hidden));
    const auto foldable = block->foldable_inputs();
    QCOMPARE(foldable.size(), std::size_t(inputs));
    for (const bool is_exact : {true, false}) {
        for (const model::FoldableInput& input : foldable) {
            const int64_t channels = input.readers.front()->weight.size(1);
            const at::Tensor wanted = is_exact
                ? at::randint(-3, 4, {channels}).to(at::kFloat).exp2()
                : at::rand({channels}) * 4 + 0.1;
            const at::Tensor weight = input.readers.front()->weight;
            fold_scales(input, representable_scales(input, wanted));
            QVERIFY(!at::equal(input.readers.front()->weight, weight));
        }
        const at::Tensor after = block->forward(hidden, shared_for(hidden));
        // 1 + w is rounded where w is small: powers of two do not stay what they are.
        if (is_exact && type != "gemma2") {
            QVERIFY(at::equal(after, before));
        }
        QVERIFY(at::allclose(after, before, 1e-4, 1e-4));
    }
}

void SmoothingTest::keepsNormsInNumbersOfTheCheckpoint_data()
{
    QTest::addColumn<int>("kind");
    QTest::newRow("w") << int(model::NormKind::Rms);
    QTest::newRow("1 + w") << int(model::NormKind::RmsOnePlus);
}

void SmoothingTest::keepsNormsInNumbersOfTheCheckpoint()
{
    QFETCH(int, kind);
    const model::NormSpec spec{
        static_cast<model::NormKind>(kind), model::NormCast::CastThenScale, 1e-6, false};
    at::Tensor stored =
        (at::randn({64}) * 0.3 + (kind == int(model::NormKind::Rms) ? 1 : 0)).to(at::kBFloat16);
    stored[5] = kind == int(model::NormKind::Rms) ? 0 : -1; // multiplies by 0
    model::Norm norm(spec, stored.to(at::kFloat), at::kBFloat16);
    model::Linear reader("layer", at::randn({8, 64}), {});
    const at::Tensor weight = reader.weight;
    const at::Tensor before = norm.weight();
    const model::FoldableInput input{{&reader}, {&norm, "norm"}};
    const at::Tensor scales = representable_scales(input, at::rand({64}) * 4 + 0.05);
    QVERIFY((scales > 0).all().item<bool>());
    QCOMPARE(scales[5].item<float>(), 1.0F);
    fold_scales(input, scales);
    // What a checkpoint holds is what the block computes with.
    const at::Tensor kept = norm.to_stored(norm.weight());
    QCOMPARE(kept.scalar_type(), at::kBFloat16);
    QVERIFY(at::equal(kept.to(at::kFloat) + norm.offset(), norm.weight()));
    QVERIFY(at::allclose(norm.weight() * scales, before, 1e-6, 0));
    QVERIFY(at::allclose(reader.weight, weight * scales, 1e-6, 0));
}

void SmoothingTest::losesLessWithOutliers_data()
{
    QTest::addColumn<int>("start");
    QTest::addColumn<int>("iters");
    QTest::newRow("plain rounding") << int(Start::MinMax) << 0;
    QTest::newRow("tuned") << int(Start::MinMax) << 20;
    QTest::newRow("searched ranges") << int(Start::Search) << 0;
    QTest::newRow("compensated") << int(Start::Compensated) << 0;
}

void SmoothingTest::losesLessWithOutliers()
{
    QFETCH(int, start);
    QFETCH(int, iters);
    Recipe recipe = recipe_of(Smoothing::Off, iters);
    recipe.start = static_cast<Start>(start);
    const Tuned off(recipe);
    recipe.smoothing = Smoothing::Awq;
    const Tuned awq(recipe);
    const QString losses =
        QString("%1 -> %2").arg(off.result.summary.loss).arg(awq.result.summary.loss);
    QVERIFY2(awq.result.summary.loss < 0.9 * off.result.summary.loss, qPrintable(losses));
    // Both are compared with plain rounding of the same weights.
    QVERIFY(std::abs(awq.result.summary.loss_rtn / off.result.summary.loss_rtn - 1) < 0.01);
    // The block computes what the next one is given.
    QVERIFY(at::allclose(awq.block->forward(awq.inputs.quantized, shared_for(awq.inputs.quantized)),
        awq.result.quantized_outputs, 1e-4, 1e-4));
    QVERIFY(at::allclose(off.result.reference_outputs, awq.result.reference_outputs));
    // Compensated rounding trades the error of a layer against those of others.
    QVERIFY(recipe.start == Start::Compensated
        || *awq.layer("q_proj").errors.out_sqnr_db > *off.layer("q_proj").errors.out_sqnr_db);
}

void SmoothingTest::choosesByAFewOfManyRows()
{
    const Tuned off(recipe_of(Smoothing::Off), "-", 700), awq(recipe_of(Smoothing::Awq), "-", 700);
    for (const char* name : {"gate_proj", "up_proj"}) {
        QCOMPARE(awq.layer(name).weight.rows(), int64_t{700});
        QVERIFY(*awq.layer(name).errors.out_mse < 0.8 * *off.layer(name).errors.out_mse);
    }
}

void SmoothingTest::leavesAloneWhatSearchedRangesHold()
{
    Recipe recipe = recipe_of(Smoothing::Awq);
    const Tuned plain(recipe, "-", 48, /*is_on_grid=*/true);
    QVERIFY(plain.layer("q_proj").factors.defined());
    recipe.start = Start::Search;
    const Tuned searched(recipe, "-", 48, /*is_on_grid=*/true);
    QVERIFY(!searched.layer("q_proj").factors.defined());
    QCOMPARE(searched.layer("q_proj").errors.mse, 0.0);
}

void SmoothingTest::factorsAreThoseOfTheWeights()
{
    const Tuned awq(recipe_of(Smoothing::Awq));
    const auto original = block_with_outliers();
    QCOMPARE(awq.result.norms.size(), std::size_t{2});
    for (const model::BlockLinear& entry : original->linears()) {
        const FinishedLayer& layer = awq.layer(entry.linear->name);
        const at::Tensor decoded = quant::codec_for(layer.weight.scheme).decode(layer.weight);
        const at::Tensor scaled = layer.factors.apply(entry.linear->weight);
        LayerFinished errors;
        errors.mse = (scaled - decoded).square().mean().item<double>();
        QVERIFY(std::abs(errors.mse / layer.errors.mse - 1) < 1e-4);
        QVERIFY(at::allclose(layer.factors.undo(scaled), entry.linear->weight, 1e-5, 1e-7));
        QCOMPARE(layer.factors.defined(), !layer.name.ends_with("o_proj"));
    }
    for (const model::BlockNorm& item : original->norms()) {
        const char* reader = item.name.ends_with("input_layernorm") ? "q_proj" : "up_proj";
        QVERIFY(at::allclose(
            awq.result.norms.at(item.name + ".weight") * awq.layer(reader).factors.columns,
            item.norm->weight(), 1e-5, 1e-6));
    }
}

void SmoothingTest::leavesInputsOfKeptLayersAlone()
{
    const Tuned attention(recipe_of(Smoothing::Awq), "v_proj");
    QVERIFY(!attention.layer("q_proj").factors.defined());
    QVERIFY(attention.layer("up_proj").factors.defined());
    QCOMPARE(attention.result.norms.size(), std::size_t{1});
    QVERIFY(std::any_of(
        attention.observer.events.begin(), attention.observer.events.end(), [](const Event& event) {
            const Warning* warning = event.get_if<Warning>();
            return warning != nullptr && warning->text.find("v_proj") != std::string::npos;
        }));
    const Tuned up(recipe_of(Smoothing::Awq), "up_proj"); // whose rows would have to change
    QVERIFY(up.layer("q_proj").factors.defined());
    QVERIFY(!up.layer("gate_proj").factors.defined());
    QVERIFY(!up.layer("down_proj").factors.defined());
}

void SmoothingTest::changesNothingWhenOff()
{
    const Tuned off(recipe_of(Smoothing::Off));
    const auto original = block_with_outliers();
    QVERIFY(off.result.norms.empty());
    for (const model::BlockLinear& entry : original->linears()) {
        const FinishedLayer& layer = off.layer(entry.linear->name);
        QVERIFY(!layer.factors.defined());
        const quant::QuantizedWeight expected =
            quant::codec_for(layer.weight.scheme)
                .encode(entry.linear->weight, layer.weight.scheme, {});
        QVERIFY(at::equal(layer.weight.codes, expected.codes));
        QVERIFY(at::equal(layer.weight.scales, expected.scales));
    }
}

void SmoothingTest::refusesToSmoothWithoutData()
{
    const auto block = block_with_outliers();
    RecordingObserver observer;
    EventEmitter emitter{observer};
    RunContext context{emitter, {}, "cpu", 42};
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"recipe.smoothing", "awq"}),
        tune_block(context, *block, shared_for(at::zeros({1})), {}, plan_for(*block, "W4A16G16"),
            recipe_of(Smoothing::Awq)));
}

BITSMITH_TEST(SmoothingTest)
#include "smoothing_test.moc"
