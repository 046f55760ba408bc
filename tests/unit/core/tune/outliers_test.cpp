// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/reference_tuner.h"
#include "support/same_bits.h"
#include "support/test_main.h"
#include "support/tiny_block.h"
#include "tune/block_tuner.h"
#include "tune/squared_error.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace bitsmith;
using namespace bitsmith::tune;
using bitsmith::test::plan_for;
using bitsmith::test::shared_for;
using bitsmith::test::TinyBlock;

namespace {

/// Sum of w·d² without the `left_out` largest of each `group` consecutive elements, element by
/// element in double precision.
double plain_sum(
    const at::Tensor& difference, const at::Tensor& weights, int64_t group, int64_t left_out)
{
    const at::Tensor terms =
        (difference.to(at::kDouble).square() * weights.to(at::kDouble).unsqueeze(-1))
            .contiguous()
            .view({-1});
    double sum = 0;
    for (int64_t first = 0; first < terms.numel(); first += group) {
        std::vector<double> part(
            terms.data_ptr<double>() + first, terms.data_ptr<double>() + first + group);
        std::sort(part.begin(), part.end());
        for (std::size_t i = 0; i < part.size() - static_cast<std::size_t>(left_out); ++i) {
            sum += part[i];
        }
    }
    return sum;
}

Recipe recipe_of(int64_t iters, double outlier_fraction)
{
    Recipe recipe;
    recipe.iters = iters;
    recipe.batch_size = 4;
    recipe.selection = Selection::Last;
    recipe.start = Start::MinMax;
    recipe.objective = Objective::Mse;
    recipe.outlier_fraction = outlier_fraction;
    return recipe;
}

BlockInputs inputs_of()
{
    at::manual_seed(21);
    BlockInputs inputs;
    inputs.reference =
        (at::randn({16, 12, 6}).matmul(at::randn({6, 32})) * 0.4 + at::randn({16, 12, 32}) * 0.1)
            .to(at::kDouble);
    inputs.quantized = inputs.reference;
    return inputs;
}

Scheme two_bits()
{
    Scheme scheme;
    scheme.bits = 2;
    scheme.group_size = 16;
    return scheme;
}

BlockResult tune_tiny(RunContext& context, const Recipe& recipe)
{
    TinyBlock block(32, 48, at::kDouble);
    const BlockInputs inputs = inputs_of();
    return tune_block(
        context, block, shared_for(inputs.reference), inputs, plan_for(block, two_bits()), recipe);
}

} // namespace

class OutliersTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void sumsWhatIsNotLeftOut_data();
    void sumsWhatIsNotLeftOut();
    void leavesOutExactlyTheLargest();
    void leavesOutOneAtLeast();
    void changesNothingWhenNoneIsLeftOut();
    void weighsChannelsToo();
    void doesNotHideWhatIsNotFinite();
    void givesTheCodesOfPlainAutograd();
    void doesNotDependOnMicroBatches();
    void makesTheExtensionOfTheReference();

private:
    RecordingObserver m_observer;
    EventEmitter m_emitter{m_observer};
    RunContext m_context{m_emitter, {}, "cpu", 42};
    at::Tensor m_prediction, m_target, m_weights;
};

void OutliersTest::init()
{
    at::manual_seed(3);
    m_prediction = at::randn({3, 20, 50}).pow(3); // heavy tails
    m_target = at::randn({3, 20, 50});
    m_weights = at::rand({3, 20});
    m_weights[0].narrow(0, 15, 5).zero_();
}

void OutliersTest::sumsWhatIsNotLeftOut_data()
{
    QTest::addColumn<bool>("perSample");
    QTest::addColumn<QString>("weights");
    for (const bool perSample : {true, false}) {
        for (const char* weights : {"none", "mask", "numbers"}) {
            QTest::addRow("%s, weights: %s", perSample ? "sample" : "batch", weights)
                << perSample << QString::fromLatin1(weights);
        }
    }
}

void OutliersTest::sumsWhatIsNotLeftOut()
{
    QFETCH(bool, perSample);
    QFETCH(QString, weights);
    const at::Tensor counted = weights == QLatin1String("none") ? at::ones({3, 20})
        : weights == QLatin1String("mask")                      ? m_weights > 0
                                                                : m_weights;
    const SquaredError error(m_prediction, m_target,
        weights == QLatin1String("none") ? at::Tensor() : counted, {0.01, perSample});
    const int64_t group = perSample ? 1000 : 3000;
    const double expected = plain_sum(m_prediction - m_target, counted, group, perSample ? 10 : 30);
    QVERIFY(std::abs(error.sum - expected) < 1e-5 * expected);
    QVERIFY(expected < 0.9 * plain_sum(m_prediction - m_target, counted, group, 0));
}

void OutliersTest::leavesOutExactlyTheLargest()
{
    const SquaredError all(m_prediction, m_target, {});
    const SquaredError error(m_prediction, m_target, {}, {0.01, true});
    const at::Tensor largest =
        std::get<1>(all.difference.view({3, 1000}).abs().topk(10, 1)); // [3, 10]
    const at::Tensor expected = all.difference.view({3, 1000}).scatter(1, largest, 0);
    QVERIFY(at::equal(error.difference.view({3, 1000}), expected));
}

void OutliersTest::leavesOutOneAtLeast()
{
    const SquaredError error(m_prediction, m_target, {}, {1e-9, true});
    QCOMPARE((error.difference == 0).sum().item<int64_t>(), int64_t{3});
    const at::Tensor one = at::ones({1, 1, 1});
    QCOMPARE(SquaredError(one * 3, one, {}, {0.001, true}).sum, 4.0); // never all of them
}

void OutliersTest::changesNothingWhenNoneIsLeftOut()
{
    // The sums as they are without outliers in the code at all.
    const at::Tensor difference = m_prediction - m_target;
    const SquaredError plain(m_prediction, m_target, {}, {0, true});
    QVERIFY(same_bits(plain.difference, difference));
    const at::Tensor flat = difference.reshape({-1});
    QCOMPARE(plain.sum, at::dot(flat, flat).item<double>());
    const SquaredError weighted(m_prediction, m_target, m_weights, {0, true});
    QVERIFY(same_bits(weighted.difference, difference * m_weights.unsqueeze(-1)));
    QCOMPARE(weighted.sum, at::dot(flat, weighted.difference.reshape({-1})).item<double>());
}

void OutliersTest::weighsChannelsToo()
{
    at::Tensor channels = at::rand({50}) + 0.1;
    channels /= channels.mean();
    const at::Tensor difference = m_prediction - m_target;
    const at::Tensor weights = m_weights.unsqueeze(-1) * channels; // [3, 20, 50]
    const SquaredError error(m_prediction, m_target, m_weights, {}, channels);
    QVERIFY(at::allclose(error.difference, difference * weights));
    const at::Tensor squares = difference.to(at::kDouble).square() * weights.to(at::kDouble);
    const double expected = squares.sum().item<double>();
    QVERIFY(std::abs(error.sum - expected) < 1e-5 * expected);

    // Left out is what would add most with both weights.
    const SquaredError bounded(m_prediction, m_target, m_weights, {0.01, true}, channels);
    const at::Tensor largest = std::get<0>(squares.view({3, 1000}).topk(10, 1));
    const double rest = expected - largest.sum().item<double>();
    QVERIFY(std::abs(bounded.sum - rest) < 1e-5 * expected);
}

void OutliersTest::doesNotHideWhatIsNotFinite()
{
    using Limits = std::numeric_limits<float>;
    for (const float bad : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
        at::Tensor prediction = m_prediction.clone();
        prediction[1][2][3] = bad;
        QVERIFY(!std::isfinite(SquaredError(prediction, m_target, {}, {0.01, true}).sum));
        QVERIFY(!std::isfinite(SquaredError(prediction, m_target, m_weights, {0.01, false}).sum));
    }
}

void OutliersTest::givesTheCodesOfPlainAutograd()
{
    const Recipe recipe = recipe_of(40, 0.02);
    const BlockResult result = tune_tiny(m_context, recipe);
    const BlockInputs inputs = inputs_of();
    TinyBlock block(32, 48, at::kDouble);
    const std::vector<quant::QuantizedWeight> expected = bitsmith::test::reference_tune(m_context,
        block, shared_for(inputs.reference), inputs.reference, plan_for(block, two_bits()), recipe);
    const BlockResult plain = tune_tiny(m_context, recipe_of(40, 0));
    for (std::size_t i = 0; i < expected.size(); ++i) {
        QVERIFY(at::equal(result.layers[i].weight.codes, expected[i].codes));
        QVERIFY(at::equal(result.layers[i].weight.scales, expected[i].scales));
        QVERIFY(!at::equal(result.layers[i].weight.codes, plain.layers[i].weight.codes));
    }
    // Figures of a block leave out what its loss leaves out.
    QVERIFY(result.summary.loss_rtn < plain.summary.loss_rtn);
    QCOMPARE(result.summary.loss_rtn, result.summary.loss_start);
}

void OutliersTest::doesNotDependOnMicroBatches()
{
    Recipe recipe = recipe_of(20, 0.02);
    recipe.batch_size = 8;
    const BlockResult whole = tune_tiny(m_context, recipe);
    recipe.batch_size = 2;
    recipe.gradient_accumulate_steps = 4;
    const BlockResult parts = tune_tiny(m_context, recipe);
    QVERIFY(at::equal(whole.layers[0].weight.codes, parts.layers[0].weight.codes));
    QVERIFY(at::equal(whole.layers[1].weight.codes, parts.layers[1].weight.codes));
}

void OutliersTest::makesTheExtensionOfTheReference()
{
    const auto extended = [](const char* scheme) {
        Recipe recipe = recipe_of(200, 0);
        apply_algorithm_extension(recipe, parse_scheme(scheme));
        return recipe;
    };
    QVERIFY(extended("W4A16").start == Start::Search);
    QCOMPARE(extended("W4A16").outlier_fraction, 0.0);
    QCOMPARE(extended("W2A16").outlier_fraction, 0.001);
    QCOMPARE(extended("MXFP4").outlier_fraction, 0.001); // activations of 4 bits
    QVERIFY(extended("MXFP4").start == Start::Search);
    const Recipe super_blocks = extended("gguf:q4_k");
    QVERIFY(super_blocks.start == Start::Search && !super_blocks.enable_minmax_tuning);
    QCOMPARE(super_blocks.outlier_fraction, 0.0);
    QVERIFY(extended("FP8_STATIC") == recipe_of(200, 0));
    Recipe recipe = recipe_of(200, 0);
    Scheme asymmetric = parse_scheme("W2A16");
    asymmetric.sym = false;
    apply_algorithm_extension(recipe, asymmetric);
    QVERIFY(recipe == recipe_of(200, 0));
    // The order in which auto-round draws samples also takes its outliers, of a whole batch.
    recipe.mimic_reference = true;
    QVERIFY(!outliers_of(recipe).per_sample);
}

BITSMITH_TEST(OutliersTest)
#include "outliers_test.moc"
