// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/reference_tuner.h"
#include "support/test_main.h"
#include "support/tiny_block.h"
#include "tune/block_tuner.h"
#include "tune/layer_tuner.h"
#include "tune/position_weights.h"

#include <bitsmith/error.h>
#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tune;
using bitsmith::test::plan_for;
using bitsmith::test::shared_for;
using bitsmith::test::TinyBlock;

namespace {

/// A context that records its events.
struct Recorded
{
    RecordingObserver observer;
    EventEmitter emitter{observer};
    RunContext context{emitter, {}, "cpu", 42};

    template <class T>
    std::vector<T> all() const
    {
        std::vector<T> found;
        for (const Event& event : observer.events) {
            if (const T* body = event.get_if<T>()) {
                found.push_back(*body);
            }
        }
        return found;
    }
};

Scheme scheme_of(int64_t bits, bool sym = true)
{
    Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = 16;
    scheme.sym = sym;
    return scheme;
}

Recipe recipe_of(int64_t iters, Selection selection)
{
    Recipe recipe;
    recipe.iters = iters;
    recipe.batch_size = 4;
    recipe.selection = selection;
    recipe.start = Start::MinMax; // what the plain tuner of the tests does
    recipe.objective = Objective::Mse;
    return recipe;
}

BlockInputs inputs_of(at::ScalarType type = at::kFloat, int64_t width = 32)
{
    at::manual_seed(21);
    BlockInputs inputs;
    // Correlated channels, as in a real model: on white noise nothing beats plain rounding.
    inputs.reference = (at::randn({16, 12, 6}).matmul(at::randn({6, width})) * 0.4
        + at::randn({16, 12, width}) * 0.1)
                           .to(type);
    inputs.quantized = inputs.reference + at::randn({16, 12, width}).to(type) * 0.02;
    return inputs;
}

BlockResult tune_tiny(Recorded& recorded, const BlockInputs& inputs, const Recipe& recipe,
    const Scheme& scheme, at::ScalarType type = at::kFloat)
{
    const int64_t width = inputs.reference.size(-1);
    TinyBlock block(width, width * 3 / 2, type);
    const model::BlockShared shared = shared_for(inputs.reference);
    return tune_block(recorded.context, block, shared, inputs, plan_for(block, scheme), recipe);
}

} // namespace

class BlockTunerTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void givesTheCodesOfPlainAutogradInDoublePrecision_data();
    void givesTheCodesOfPlainAutogradInDoublePrecision();
    void givesNearlyTheCodesOfPlainAutogradInSinglePrecision();
    void beatsPlainRounding_data();
    void beatsPlainRounding();
    void accumulationEqualsOneLargeBatch();
    void reportsOneStreamOfEvents();
    void advancesBothChains();
    void writesChainsInPlaceWhenAllowed();
    void ignoresMaskedPositions();
    void startsBetterFromSearchedRanges();
    void roundsToSearchedRanges();
    void searchesByInputsOfTheOriginalPathWithoutSteps();
    void compensatesWithoutSteps();
    void startsFromCompensatedCodes_data();
    void startsFromCompensatedCodes();
    void keepsACompensatedStart();
    void compensatesWithoutTheHeldOut();
    void weighsPositionsByTheirOutputs();
    void weighsPositionsAndChannelsAsTold();
    void takesNothingFromPositionsOfNoWeight_data();
    void takesNothingFromPositionsOfNoWeight();
    void stopsWhenNothingImproves();
    void roundsWithoutSteps();
    void roundsWithoutData();
    void givesTheSameBytesTwice();
    void stopsAtACancel();
    void refusesToTuneOnNothing();
    void tunesALayerOutsideTheBlocks();
};

void BlockTunerTest::givesTheCodesOfPlainAutogradInDoublePrecision_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<bool>("sym");
    QTest::newRow("2 bits symmetric") << 2 << true;
    QTest::newRow("4 bits symmetric") << 4 << true;
    QTest::newRow("2 bits asymmetric") << 2 << false;
    QTest::newRow("4 bits asymmetric") << 4 << false;
}

void BlockTunerTest::givesTheCodesOfPlainAutogradInDoublePrecision()
{
    QFETCH(int, bits);
    QFETCH(bool, sym);
    Recorded recorded;
    BlockInputs inputs = inputs_of(at::kDouble);
    inputs.quantized = inputs.reference;
    const Recipe recipe = recipe_of(40, Selection::Last);
    const BlockResult result =
        tune_tiny(recorded, inputs, recipe, scheme_of(bits, sym), at::kDouble);
    TinyBlock block(32, 48, at::kDouble);
    const std::vector<quant::QuantizedWeight> expected =
        bitsmith::test::reference_tune(recorded.context, block, shared_for(inputs.reference),
            inputs.reference, plan_for(block, scheme_of(bits, sym)), recipe);
    QCOMPARE(result.layers.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        QVERIFY(at::equal(result.layers[i].weight.codes, expected[i].codes));
        QVERIFY(at::equal(result.layers[i].weight.scales, expected[i].scales));
        QVERIFY(at::equal(result.layers[i].weight.zeros, expected[i].zeros));
    }
}

void BlockTunerTest::givesNearlyTheCodesOfPlainAutogradInSinglePrecision()
{
    Recorded recorded;
    BlockInputs inputs = inputs_of();
    inputs.quantized = inputs.reference;
    const Recipe recipe = recipe_of(40, Selection::Last);
    const BlockResult result = tune_tiny(recorded, inputs, recipe, scheme_of(4));
    TinyBlock block(32, 48);
    const std::vector<quant::QuantizedWeight> expected =
        bitsmith::test::reference_tune(recorded.context, block, shared_for(inputs.reference),
            inputs.reference, plan_for(block, scheme_of(4)), recipe);
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double same = (result.layers[i].weight.codes == expected[i].codes)
                                .to(at::kDouble)
                                .mean()
                                .item<double>();
        QVERIFY2(same > 0.98, qPrintable(QString::number(same)));
    }
}

void BlockTunerTest::beatsPlainRounding_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("selection");
    for (const int bits : {2, 4}) {
        QTest::addRow("%d bits, last", bits) << bits << int(Selection::Last);
        QTest::addRow("%d bits, holdout", bits) << bits << int(Selection::Holdout);
        QTest::addRow("%d bits, minibatch", bits) << bits << int(Selection::Minibatch);
    }
}

void BlockTunerTest::beatsPlainRounding()
{
    QFETCH(int, bits);
    QFETCH(int, selection);
    Recorded recorded;
    BlockInputs inputs = inputs_of();
    inputs.holdout = 4;
    const BlockResult result = tune_tiny(
        recorded, inputs, recipe_of(100, static_cast<Selection>(selection)), scheme_of(bits));
    QVERIFY(result.summary.loss_rtn > 0);
    QCOMPARE(result.summary.loss_rtn, result.summary.loss_start);
    const QString losses =
        QString("%1 -> %2").arg(result.summary.loss_rtn).arg(result.summary.loss);
    QVERIFY2(result.summary.loss < 0.9 * result.summary.loss_rtn, qPrintable(losses));
    // The whole tuning set agrees with what was reported on the first batch.
    const at::Tensor difference = (result.quantized_outputs - result.reference_outputs);
    const double all = difference.square().mean().item<double>();
    QVERIFY(all < result.summary.loss_rtn);
}

void BlockTunerTest::accumulationEqualsOneLargeBatch()
{
    Recorded whole, parts;
    const BlockInputs inputs = inputs_of(at::kDouble);
    Recipe recipe = recipe_of(20, Selection::Last);
    recipe.batch_size = 8;
    const BlockResult a = tune_tiny(whole, inputs, recipe, scheme_of(4), at::kDouble);
    recipe.batch_size = 2;
    recipe.gradient_accumulate_steps = 4;
    const BlockResult b = tune_tiny(parts, inputs, recipe, scheme_of(4), at::kDouble);
    QVERIFY(at::equal(a.layers[0].weight.codes, b.layers[0].weight.codes));
    QVERIFY(at::equal(a.layers[1].weight.codes, b.layers[1].weight.codes));
    QVERIFY(std::abs(a.summary.loss_start - b.summary.loss_start) < 1e-12);
}

void BlockTunerTest::reportsOneStreamOfEvents()
{
    Recorded recorded;
    BlockInputs inputs = inputs_of();
    const BlockResult result =
        tune_tiny(recorded, inputs, recipe_of(10, Selection::Last), scheme_of(4));
    QCOMPARE(recorded.all<BlockStarted>().size(), std::size_t{1});
    QCOMPARE(recorded.all<BlockStarted>()[0].layers, int64_t{2});
    const std::vector<IterationDone> steps = recorded.all<IterationDone>();
    QCOMPARE(steps.size(), std::size_t{10});
    QCOMPARE(steps[0].loss, result.summary.loss_start);
    QCOMPARE(steps[9].lr, 0.1 * 0.1);
    QVERIFY(steps[9].best_loss <= steps[9].loss);
    const std::vector<LayerFinished> layers = recorded.all<LayerFinished>();
    QCOMPARE(layers.size(), std::size_t{2});
    for (const LayerFinished& layer : layers) {
        QVERIFY(layer.mse > 0 && layer.cosine > 0.98 && layer.sqnr_db > 15);
        QVERIFY(layer.out_mse && *layer.out_mse > 0);
        QVERIFY(layer.out_sqnr_db && *layer.out_sqnr_db > 10);
        QCOMPARE(layer.bits, effective_bits(scheme_of(4), layer.layer.ends_with("up") ? 32 : 48));
    }
    QCOMPARE(layers[0].layer, std::string("blocks.0.up"));
    QCOMPARE(recorded.observer.events.back().kind(), std::string_view("block_finished"));
}

void BlockTunerTest::advancesBothChains()
{
    Recorded recorded;
    const BlockInputs inputs = inputs_of();
    TinyBlock original(32, 48), block(32, 48);
    const model::BlockShared shared = shared_for(inputs.reference);
    Recipe recipe = recipe_of(5, Selection::Last);
    BlockResult result =
        tune_block(recorded.context, block, shared, inputs, plan_for(block, scheme_of(3)), recipe);
    QVERIFY(at::allclose(result.reference_outputs, original.forward(inputs.reference, shared)));
    QVERIFY(at::allclose(result.quantized_outputs, block.forward(inputs.quantized, shared)));
    QVERIFY(
        at::equal(block.up.weight, quant::codec_for(scheme_of(3)).decode(result.layers[0].weight)));
    recipe.enable_quanted_input = false;
    TinyBlock again(32, 48);
    result =
        tune_block(recorded.context, again, shared, inputs, plan_for(again, scheme_of(3)), recipe);
    QVERIFY(result.quantized_outputs.is_same(result.reference_outputs));
}

void BlockTunerTest::writesChainsInPlaceWhenAllowed()
{
    Recorded recorded;
    const Recipe recipe = recipe_of(5, Selection::Last);
    const BlockResult expected = tune_tiny(recorded, inputs_of(), recipe, scheme_of(4));
    BlockInputs inputs = inputs_of();
    inputs.reuse = true;
    const BlockResult result = tune_tiny(recorded, inputs, recipe, scheme_of(4));
    QVERIFY(result.reference_outputs.is_alias_of(inputs.reference));
    QVERIFY(result.quantized_outputs.is_alias_of(inputs.quantized));
    QVERIFY(at::equal(result.reference_outputs, expected.reference_outputs));
    QVERIFY(at::equal(result.quantized_outputs, expected.quantized_outputs));
    // The first block's chains are one tensor; writing the outputs over it would lose the inputs.
    inputs = inputs_of();
    inputs.quantized = inputs.reference;
    inputs.reuse = true;
    const BlockResult first = tune_tiny(recorded, inputs, recipe, scheme_of(4));
    QVERIFY(!first.reference_outputs.is_alias_of(inputs.reference));
    QVERIFY(at::equal(inputs.reference, inputs_of().reference));
}

void BlockTunerTest::ignoresMaskedPositions()
{
    Recorded recorded;
    BlockInputs inputs = inputs_of();
    inputs.mask = at::ones({16, 12}, at::kBool);
    inputs.mask.narrow(1, 6, 6).zero_();
    const Recipe recipe = recipe_of(20, Selection::Last);
    const BlockResult a = tune_tiny(recorded, inputs, recipe, scheme_of(3));
    inputs.reference = inputs.reference.clone();
    inputs.reference.narrow(1, 6, 6).add_(5.0); // targets of positions that do not count
    const BlockResult b = tune_tiny(recorded, inputs, recipe, scheme_of(3));
    QVERIFY(at::equal(a.layers[0].weight.codes, b.layers[0].weight.codes));
    QCOMPARE(a.summary.loss, b.summary.loss);
    // A mean over what counts: the same size as without a mask.
    inputs = inputs_of();
    const BlockResult unmasked = tune_tiny(recorded, inputs, recipe, scheme_of(3));
    QVERIFY(a.summary.loss_start > 0.5 * unmasked.summary.loss_start);
    QVERIFY(a.summary.loss_start < 2 * unmasked.summary.loss_start);
}

void BlockTunerTest::startsBetterFromSearchedRanges()
{
    Recorded recorded;
    Recipe recipe = recipe_of(100, Selection::Last);
    const BlockResult plain = tune_tiny(recorded, inputs_of(), recipe, scheme_of(2));
    recipe.start = Start::Search;
    const BlockResult searched = tune_tiny(recorded, inputs_of(), recipe, scheme_of(2));
    // The figure to compare with stays that of plain rounding.
    QCOMPARE(searched.summary.loss_rtn, plain.summary.loss_rtn);
    QVERIFY(searched.summary.loss_start < 0.9 * searched.summary.loss_rtn);
    QVERIFY(searched.summary.loss < 0.9 * searched.summary.loss_start);
}

void BlockTunerTest::roundsToSearchedRanges()
{
    Recorded recorded;
    Recipe recipe = recipe_of(0, Selection::Last);
    recipe.start = Start::Search;
    const BlockResult result = tune_tiny(recorded, inputs_of(), recipe, scheme_of(2));
    QVERIFY(result.summary.loss < 0.9 * result.summary.loss_rtn);
    QCOMPARE(result.summary.loss, result.summary.loss_start);
}

void BlockTunerTest::searchesByInputsOfTheOriginalPathWithoutSteps()
{
    const Scheme scheme = scheme_of(2);
    const at::Tensor weight = TinyBlock(32, 48).up.weight;
    const quant::Codec& codec = quant::codec_for(scheme);
    const auto codes_by = [&](const at::Tensor& inputs) {
        quant::TunedValues start;
        start.range = codec.search(weight, scheme, inputs.flatten(0, 1).square().sum(0), {});
        return codec.encode(weight, scheme, start).codes;
    };
    BlockInputs inputs = inputs_of();
    inputs.quantized = inputs.reference * at::linspace(0.1, 3, 32);
    const at::Tensor by_original = codes_by(inputs.reference);
    const at::Tensor by_quantized = codes_by(inputs.quantized);
    QVERIFY(!at::equal(by_original, by_quantized));
    Recorded recorded;
    Recipe recipe = recipe_of(0, Selection::Last);
    recipe.start = Start::Search;
    QVERIFY(
        at::equal(tune_tiny(recorded, inputs, recipe, scheme).layers[0].weight.codes, by_original));
    // Where positions are weighed by outputs, these have to be known first.
    inputs.mask = at::ones({16, 12});
    recipe.objective = Objective::InverseNorm;
    QVERIFY(!at::equal(
        tune_tiny(recorded, inputs, recipe, scheme).layers[0].weight.codes, by_original));
}

void BlockTunerTest::compensatesWithoutSteps()
{
    Recorded recorded;
    Recipe recipe = recipe_of(0, Selection::Last);
    recipe.start = Start::Search;
    const BlockResult searched = tune_tiny(recorded, inputs_of(), recipe, scheme_of(3));
    recipe.start = Start::Compensated;
    BlockInputs inputs = inputs_of();
    inputs.reuse = true;
    const BlockResult result = tune_tiny(recorded, inputs, recipe, scheme_of(3));
    QCOMPARE(result.layers.size(), searched.layers.size());
    QCOMPARE(result.summary.loss_rtn, searched.summary.loss_rtn);
    const QString losses =
        QString("%1, searched %2").arg(result.summary.loss).arg(searched.summary.loss);
    QVERIFY2(result.summary.loss < 0.9 * searched.summary.loss, qPrintable(losses));
    QVERIFY(result.layers[0].errors.out_mse.has_value());
}

void BlockTunerTest::startsFromCompensatedCodes_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::newRow("symmetric") << scheme_of(3);
    QTest::newRow("asymmetric") << scheme_of(3, false);
    Scheme with_minimum = scheme_of(4, false);
    with_minimum.data_type = DataType::IntFloatZero;
    QTest::newRow("floating point minimum") << with_minimum;
    QTest::newRow("integers under super-scales") << parse_scheme("gguf:q2_k");
    QTest::newRow("signed integers under super-scales") << parse_scheme("gguf:q3_k");
}

// Steps too short for the way to the next code leave codes and scales of compensated rounding.
void BlockTunerTest::startsFromCompensatedCodes()
{
    QFETCH(Scheme, scheme);
    Recorded recorded;
    Recipe recipe = recipe_of(0, Selection::Last);
    recipe.start = Start::Compensated;
    const bool is_double = scheme.data_type == DataType::IntDouble;
    const BlockInputs inputs = inputs_of(at::kFloat, is_double ? 512 : 32);
    const BlockResult rounded = tune_tiny(recorded, inputs, recipe, scheme);
    recipe.iters = 2;
    recipe.lr = 1e-6;
    recipe.minmax_lr = 0;
    const BlockResult stepped = tune_tiny(recorded, inputs, recipe, scheme);
    QCOMPARE(stepped.layers.size(), rounded.layers.size());
    for (std::size_t i = 0; i < rounded.layers.size(); ++i) {
        QVERIFY(at::equal(stepped.layers[i].weight.codes, rounded.layers[i].weight.codes));
        QVERIFY(at::equal(stepped.layers[i].weight.scales, rounded.layers[i].weight.scales));
    }
    QCOMPARE(stepped.summary.loss_start, stepped.summary.loss);
    QVERIFY(stepped.summary.loss_start < 0.9 * stepped.summary.loss_rtn);
}

// Inputs of a toy leave nothing to gain over compensated rounding: the start is what is kept.
void BlockTunerTest::keepsACompensatedStart()
{
    BlockInputs inputs = inputs_of();
    inputs.holdout = 4;
    Recorded recorded;
    Recipe recipe = recipe_of(0, Selection::Holdout);
    recipe.start = Start::Compensated;
    const BlockResult rounded = tune_tiny(recorded, inputs, recipe, scheme_of(3));
    recipe.iters = 20;
    const BlockResult kept = tune_tiny(recorded, inputs, recipe, scheme_of(3));
    QCOMPARE(kept.summary.best_iteration, int64_t{0});
    QVERIFY(at::equal(kept.layers[0].weight.codes, rounded.layers[0].weight.codes));
}

void BlockTunerTest::compensatesWithoutTheHeldOut()
{
    Recipe recipe = recipe_of(0, Selection::Last);
    recipe.start = Start::Compensated;
    const auto codes_of = [&](double change_of_the_last) {
        BlockInputs inputs = inputs_of();
        inputs.holdout = 4;
        inputs.reference.narrow(0, 12, 4).mul_(change_of_the_last);
        Recorded recorded;
        return tune_tiny(recorded, inputs, recipe, scheme_of(3)).layers[0].weight.codes;
    };
    QVERIFY(at::equal(codes_of(1), codes_of(3)));
}

void BlockTunerTest::weighsPositionsByTheirOutputs()
{
    at::Tensor outputs = at::ones({2, 4, 8});
    outputs[1][0].mul_(300); // an attention sink
    at::Tensor mask = at::ones({2, 4}, at::kBool);
    mask[0][3].fill_(false);
    const at::Tensor weights = position_weights(outputs, mask, Objective::InverseNorm);
    QCOMPARE(weights.sum().item<float>(), 7.0F);
    QCOMPARE(weights[0][3].item<float>(), 0.0F);
    QVERIFY(weights[1][0].item<float>() < 2e-5F);
    QVERIFY(std::abs(weights[0][0].item<float>() - 7.0F / 6.0F) < 1e-4F);
    QVERIFY(at::equal(position_weights(outputs, mask, Objective::Mse), mask));

    // The position with large outputs no longer owns the loss.
    Recorded recorded;
    BlockInputs inputs = inputs_of();
    inputs.reference.select(1, 0).mul_(100);
    inputs.quantized = inputs.reference;
    Recipe recipe = recipe_of(60, Selection::Last);
    const auto error_elsewhere = [](const BlockResult& result) {
        return (result.quantized_outputs - result.reference_outputs)
            .narrow(1, 1, 11)
            .square()
            .mean()
            .item<double>();
    };
    const double plain = error_elsewhere(tune_tiny(recorded, inputs, recipe, scheme_of(2)));
    recipe.objective = Objective::InverseNorm;
    const double weighted = error_elsewhere(tune_tiny(recorded, inputs, recipe, scheme_of(2)));
    QVERIFY2(weighted < 0.9 * plain, qPrintable(QString("%1, %2").arg(weighted).arg(plain)));
}

void BlockTunerTest::weighsPositionsAndChannelsAsTold()
{
    Recipe recipe = recipe_of(80, Selection::Last);
    recipe.objective = Objective::Fisher;
    recipe.batch_size = 16; // all samples, so that losses are those of all
    const auto error_of_the_first = [&](double their_weight) {
        BlockInputs inputs = inputs_of();
        inputs.position_weights = at::rand({16, 12}) + 0.5;
        inputs.channel_weights = at::ones({32});
        inputs.channel_weights.narrow(0, 0, 8).fill_(their_weight);
        inputs.channel_weights /= inputs.channel_weights.mean();
        Recorded recorded;
        const BlockResult result = tune_tiny(recorded, inputs, recipe, scheme_of(2));
        const at::Tensor squares = (result.quantized_outputs - result.reference_outputs).square();
        const at::Tensor weights = inputs.position_weights.unsqueeze(-1) * inputs.channel_weights;
        const double loss = ((squares * weights).sum() / weights.sum()).item<double>();
        return std::pair(squares.narrow(2, 0, 8).mean().item<double>(),
            std::abs(result.summary.loss - loss) < 1e-5 * loss);
    };
    const auto [plain, is_plain_loss] = error_of_the_first(1);
    const auto [weighted, is_weighted_loss] = error_of_the_first(50);
    QVERIFY2(weighted < 0.9 * plain, qPrintable(QString("%1, %2").arg(weighted).arg(plain)));
    QVERIFY(is_plain_loss && is_weighted_loss);
}

void BlockTunerTest::takesNothingFromPositionsOfNoWeight_data()
{
    QTest::addColumn<int>("start");
    QTest::addColumn<int>("steps");
    QTest::newRow("steps") << static_cast<int>(Start::MinMax) << 8;
    QTest::newRow("searched ranges") << static_cast<int>(Start::Search) << 0;
    QTest::newRow("compensated rounding") << static_cast<int>(Start::Compensated) << 0;
}

void BlockTunerTest::takesNothingFromPositionsOfNoWeight()
{
    QFETCH(int, start);
    QFETCH(int, steps);
    Recipe recipe = recipe_of(steps, Selection::Last);
    recipe.start = static_cast<Start>(start);
    recipe.objective = Objective::Fisher;
    const auto codes_of = [&](int64_t changed, double factor) {
        BlockInputs inputs = inputs_of();
        inputs.position_weights = at::ones({16, 12});
        inputs.position_weights.select(1, 3).zero_();
        inputs.channel_weights = at::ones({32});
        inputs.quantized.select(1, changed).mul_(factor);
        Recorded recorded;
        return tune_tiny(recorded, inputs, recipe, scheme_of(2)).layers[0].weight;
    };
    const auto is_same = [](const quant::QuantizedWeight& a, const quant::QuantizedWeight& b) {
        return at::equal(a.codes, b.codes) && at::equal(a.scales, b.scales);
    };
    QVERIFY(is_same(codes_of(3, 1), codes_of(3, 5)));
    QVERIFY(!is_same(codes_of(4, 1), codes_of(4, 5)));
}

void BlockTunerTest::stopsWhenNothingImproves()
{
    Recorded recorded;
    Recipe recipe = recipe_of(200, Selection::Minibatch);
    recipe.dynamic_max_gap = 3;
    const BlockResult result = tune_tiny(recorded, inputs_of(), recipe, scheme_of(8));
    QVERIFY(result.summary.iterations < 200);
    QCOMPARE(result.summary.iterations, result.summary.best_iteration + 3);
}

void BlockTunerTest::roundsWithoutSteps()
{
    Recorded recorded;
    const BlockResult result =
        tune_tiny(recorded, inputs_of(), recipe_of(0, Selection::Last), scheme_of(4));
    TinyBlock block(32, 48);
    QVERIFY(at::equal(result.layers[0].weight.codes,
        quant::codec_for(scheme_of(4)).encode(block.up.weight, scheme_of(4), {}).codes));
    QVERIFY(result.summary.loss > 0);
    QCOMPARE(result.summary.loss, result.summary.loss_rtn);
    QVERIFY(recorded.all<LayerFinished>()[0].out_mse.has_value());
}

void BlockTunerTest::roundsWithoutData()
{
    Recorded recorded;
    TinyBlock block(32, 48);
    const model::BlockShared shared = shared_for(inputs_of().reference);
    const BlockResult result = tune_block(recorded.context, block, shared, {},
        plan_for(block, scheme_of(4)), recipe_of(0, Selection::Last));
    QCOMPARE(result.layers.size(), std::size_t{2});
    QVERIFY(!result.quantized_outputs.defined());
    QVERIFY(!recorded.all<LayerFinished>()[0].out_mse.has_value());
    QVERIFY_EXCEPTION_THROWN(tune_block(recorded.context, block, shared, {},
                                 plan_for(block, scheme_of(4)), recipe_of(1, Selection::Last)),
        Error);
}

void BlockTunerTest::givesTheSameBytesTwice()
{
    Recorded recorded;
    BlockInputs inputs = inputs_of();
    inputs.holdout = 4;
    const Recipe recipe = recipe_of(30, Selection::Holdout);
    const BlockResult a = tune_tiny(recorded, inputs, recipe, scheme_of(4));
    const BlockResult b = tune_tiny(recorded, inputs, recipe, scheme_of(4));
    QVERIFY(at::equal(a.layers[0].weight.codes, b.layers[0].weight.codes));
    QVERIFY(at::equal(a.layers[1].weight.scales, b.layers[1].weight.scales));
    QVERIFY(at::equal(a.quantized_outputs, b.quantized_outputs));
    QCOMPARE(a.summary.loss, b.summary.loss);
}

void BlockTunerTest::stopsAtACancel()
{
    Recorded recorded;
    recorded.context.control.cancel();
    QVERIFY_EXCEPTION_THROWN(
        tune_tiny(recorded, inputs_of(), recipe_of(5, Selection::Last), scheme_of(4)), Cancelled);
}

void BlockTunerTest::refusesToTuneOnNothing()
{
    Recorded recorded;
    BlockInputs inputs = inputs_of();
    inputs.holdout = 16;
    try {
        tune_tiny(recorded, inputs, recipe_of(5, Selection::Holdout), scheme_of(4));
        QFAIL("tuned without samples");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
    }
}

void BlockTunerTest::tunesALayerOutsideTheBlocks()
{
    Recorded recorded;
    TinyBlock block(32, 48);
    model::Linear head("lm_head", block.up.weight.clone(), {});
    const PlannedLayer planned{"lm_head", -1, 48, 32, scheme_of(3), "test"};
    const BlockInputs inputs = inputs_of();
    const FinishedLayer tuned =
        tune_layer(recorded.context, head, inputs, planned, recipe_of(40, Selection::Last));
    model::Linear rounded("lm_head", block.up.weight.clone(), {});
    const FinishedLayer plain =
        tune_layer(recorded.context, rounded, inputs, planned, recipe_of(0, Selection::Last));
    QCOMPARE(tuned.errors.block, int64_t{-1});
    QVERIFY(*tuned.errors.out_mse < *plain.errors.out_mse);
    QVERIFY(tuned.errors.mse > plain.errors.mse); // not the nearest codes any more
    const FinishedLayer blind =
        tune_layer(recorded.context, rounded, {}, planned, recipe_of(0, Selection::Last));
    QVERIFY(!blind.errors.out_mse.has_value());
}

BITSMITH_TEST(BlockTunerTest)
#include "block_tuner_test.moc"
