// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/expect_error.h"
#include "support/test_main.h"
#include "support/tiny_block.h"
#include "tune/block_tuner.h"
#include "tune/layer_tuner.h"
#include "tune/tuning_loop.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

using namespace bitsmith;
using namespace bitsmith::tune;
using bitsmith::test::TinyBlock;

namespace {

enum class Fault
{
    None,
    Output, ///< NaN in what the forward gives
    Gradient, ///< the output is right, its gradient NaN
};

/// TinyBlock whose forwards go wrong when asked to.
class FaultyBlock final : public model::DecoderBlock
{
public:
    /// hidden, and how many forwards with (or without) gradients there were before.
    using Chooser = std::function<Fault(const at::Tensor& hidden, bool with_gradients, int64_t)>;

    explicit FaultyBlock(Chooser chooser, at::ScalarType type = at::kFloat)
        : inner(32, 48, type)
        , chooser_(std::move(chooser))
    { }

    at::Tensor forward(const at::Tensor& hidden, const model::BlockShared& shared,
        model::KvCache* cache = nullptr) const override
    {
        const bool with_gradients = at::GradMode::is_enabled();
        const at::Tensor y = inner.forward(hidden, shared, cache);
        switch (chooser_(hidden, with_gradients, passes_[with_gradients ? 1 : 0]++)) {
        case Fault::Output:
            return y * std::numeric_limits<float>::quiet_NaN();
        case Fault::Gradient:
            return y + at::sqrt(y - y.detach()) * 0; // its derivative at 0 is infinite
        case Fault::None:
            break;
        }
        return y;
    }
    std::vector<model::BlockLinear> linears() override { return inner.linears(); }
    std::vector<model::BlockNorm> norms() override { return {}; }

    TinyBlock inner;

private:
    Chooser chooser_;
    mutable int64_t passes_[2] = {0, 0};
};

/// TinyBlock whose layers runtimes fuse.
class FusedBlock final : public model::DecoderBlock
{
public:
    at::Tensor forward(const at::Tensor& hidden, const model::BlockShared& shared,
        model::KvCache* cache = nullptr) const override
    {
        return inner.forward(hidden, shared, cache);
    }
    std::vector<model::BlockLinear> linears() override
    {
        return {{&inner.up, true, "both"}, {&inner.down, true, "both"}};
    }
    std::vector<model::BlockNorm> norms() override { return {}; }

    TinyBlock inner{32, 48};
};

Scheme four_bits()
{
    Scheme scheme;
    scheme.group_size = 16;
    return scheme;
}

Recipe recipe_of(int64_t iters)
{
    Recipe recipe;
    recipe.iters = iters;
    recipe.batch_size = 4;
    recipe.selection = Selection::Last;
    recipe.start = Start::MinMax;
    recipe.objective = Objective::Mse;
    return recipe;
}

BlockInputs inputs_of(at::ScalarType type = at::kFloat)
{
    at::manual_seed(21);
    BlockInputs inputs;
    inputs.reference =
        (at::randn({16, 12, 6}).matmul(at::randn({6, 32})) * 0.4 + at::randn({16, 12, 32}) * 0.1)
            .to(type);
    inputs.quantized = inputs.reference + at::randn({16, 12, 32}).to(type) * 0.02;
    return inputs;
}

bool is_finite(const at::Tensor& x)
{
    return at::isfinite(x).all().item<bool>();
}

} // namespace

class NumericLadderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init() { m_observer.events.clear(); }
    void takesSmallerStepsAfterALossThatIsNotFinite();
    void noticesGradientsThatAreNotFinite();
    void givesTuningUpForSearchedRanges_data();
    void givesTuningUpForSearchedRanges();
    void tunesInFp32WhenSixteenBitsDoNot();
    void computesInFp32WhereSixteenBitsOverflow();
    void saysHowTuningDeviated();
    void namesTheLayerInWhichTheOriginalOverflows();
    void stopsWhenTheQuantizedBlockIsNotFinite();
    void namesInputsThatAreNotFinite();
    void namesInputsOfALayerOutsideTheBlocks();
    void warnsOfOutputsBeyondFp16();
    void warnsOfWeightsBelowTheSmallestScale();
    void keepsALayerWhoseWeightsNoScaleReaches_data();
    void keepsALayerWhoseWeightsNoScaleReaches();
    void keepsALayerAfterWhichNumbersFail();
    void keepsWhatRuntimesFuseWithIt();

private:
    template <class Block>
    BlockResult tune(Block& block, const BlockInputs& inputs, const Recipe& recipe);
    QStringList warnings() const; ///< "id: text"
    int64_t steps() const;

    RecordingObserver m_observer;
    EventEmitter m_emitter{m_observer};
    RunContext m_context{m_emitter, {}, "cpu", 42};
};

template <class Block>
BlockResult NumericLadderTest::tune(Block& block, const BlockInputs& inputs, const Recipe& recipe)
{
    Plan plan;
    for (const model::BlockLinear& entry : block.linears()) {
        const model::Linear& linear = *entry.linear;
        plan.layers.push_back(
            {linear.name, 0, linear.weight.size(0), linear.weight.size(1), four_bits(), "test"});
    }
    const at::Tensor any = inputs.reference.defined() ? inputs.reference : at::zeros({1, 12, 32});
    return tune_block(m_context, block, bitsmith::test::shared_for(any), inputs, plan, recipe);
}

QStringList NumericLadderTest::warnings() const
{
    QStringList found;
    for (const Event& event : m_observer.events) {
        if (const auto* warning = event.get_if<Warning>()) {
            found << QString::fromStdString(warning->id + ": " + warning->text);
        }
    }
    return found;
}

int64_t NumericLadderTest::steps() const
{
    return std::count_if(m_observer.events.begin(), m_observer.events.end(),
        [](const Event& event) { return event.get_if<IterationDone>() != nullptr; });
}

void NumericLadderTest::takesSmallerStepsAfterALossThatIsNotFinite()
{
    FaultyBlock block([](const at::Tensor&, bool with_gradients, int64_t pass) {
        return with_gradients && pass == 3 ? Fault::Output : Fault::None;
    });
    const BlockResult result = tune(block, inputs_of(), recipe_of(10));
    QCOMPARE(warnings(),
        QStringList{"numeric_restart: block 0: the loss is not finite at step 3; tuned again with "
                    "a quarter of the step size"});
    QCOMPARE(steps(), int64_t{3 + 10});
    QCOMPARE(result.summary.iterations, int64_t{10});
    // From the start, on the same samples, with steps of a quarter.
    Recipe recipe = recipe_of(10);
    recipe.lr = 0.1 * 0.25;
    TinyBlock sound(32, 48);
    const BlockResult expected = tune(sound, inputs_of(), recipe);
    for (std::size_t i = 0; i < expected.layers.size(); ++i) {
        QVERIFY(at::equal(result.layers[i].weight.codes, expected.layers[i].weight.codes));
        QVERIFY(at::equal(result.layers[i].weight.scales, expected.layers[i].weight.scales));
    }
    QCOMPARE(result.summary.loss, expected.summary.loss);
}

void NumericLadderTest::noticesGradientsThatAreNotFinite()
{
    FaultyBlock block([](const at::Tensor&, bool with_gradients, int64_t pass) {
        return with_gradients && pass == 2 ? Fault::Gradient : Fault::None;
    });
    const BlockResult result = tune(block, inputs_of(), recipe_of(40));
    QCOMPARE(warnings(),
        QStringList{"numeric_restart: block 0: the gradient of blocks.0.up is not finite, seen "
                    "after step 15; tuned again with a quarter of the step size"});
    QCOMPARE(result.summary.iterations, int64_t{40});
    QVERIFY(result.summary.loss < result.summary.loss_rtn);
}

void NumericLadderTest::givesTuningUpForSearchedRanges_data()
{
    QTest::addColumn<int>("fault");
    QTest::addColumn<QString>("what");
    QTest::newRow("loss") << int(Fault::Output) << "the loss is not finite at step 0";
    QTest::newRow("gradient") << int(Fault::Gradient) << "the gradient of blocks.0.up";
}

void NumericLadderTest::givesTuningUpForSearchedRanges()
{
    QFETCH(int, fault);
    QFETCH(QString, what);
    FaultyBlock block([fault](const at::Tensor&, bool with_gradients, int64_t) {
        return with_gradients ? static_cast<Fault>(fault) : Fault::None;
    });
    BlockInputs inputs = inputs_of();
    inputs.quantized.reset(); // without steps ranges are searched by inputs of the original path
    const BlockResult result = tune(block, inputs, recipe_of(5));
    QCOMPARE(warnings().size(), 2);
    QVERIFY2(
        warnings()[0].startsWith("numeric_restart: block 0: " + what), qPrintable(warnings()[0]));
    QVERIFY2(warnings()[1].startsWith("numeric_untuned: block 0: rounded without tuning: " + what),
        qPrintable(warnings()[1]));
    Recipe searched = recipe_of(0);
    searched.start = Start::Search;
    TinyBlock sound(32, 48);
    const BlockResult expected = tune(sound, inputs, searched);
    for (std::size_t i = 0; i < expected.layers.size(); ++i) {
        QVERIFY(at::equal(result.layers[i].weight.codes, expected.layers[i].weight.codes));
        QVERIFY(at::equal(result.layers[i].weight.scales, expected.layers[i].weight.scales));
    }
    QCOMPARE(result.summary.iterations, int64_t{0});
    QCOMPARE(result.summary.loss, expected.summary.loss);
    QCOMPARE(result.summary.loss_rtn, expected.summary.loss_rtn);
    QVERIFY(is_finite(result.quantized_outputs));
}

void NumericLadderTest::tunesInFp32WhenSixteenBitsDoNot()
{
    FaultyBlock block(
        [](const at::Tensor& hidden, bool with_gradients, int64_t) {
            return with_gradients && hidden.scalar_type() == at::kBFloat16 ? Fault::Gradient
                                                                           : Fault::None;
        },
        at::kBFloat16);
    const BlockInputs inputs = inputs_of(at::kBFloat16);
    const BlockResult result = tune(block, inputs, recipe_of(20));
    QCOMPARE(warnings().size(), 1);
    QVERIFY2(warnings()[0].endsWith("; tuned again in fp32"), qPrintable(warnings()[0]));
    QCOMPARE(result.summary.iterations, int64_t{20});
    QVERIFY(result.summary.loss < result.summary.loss_rtn);
    // The block has its own element type again, with the decoded weights.
    QCOMPARE(block.inner.up.weight.scalar_type(), at::kBFloat16);
    QCOMPARE(block.inner.down.bias.scalar_type(), at::kBFloat16);
    QCOMPARE(result.quantized_outputs.scalar_type(), at::kBFloat16);
    QVERIFY(at::equal(block.inner.up.weight,
        quant::codec_for(four_bits()).decode(result.layers[0].weight).to(at::kBFloat16)));
}

void NumericLadderTest::computesInFp32WhereSixteenBitsOverflow()
{
    TinyBlock block(32, 48, at::kHalf);
    block.up.weight.mul_(1.5e4); // what it gives exceeds fp16, what the block gives does not
    block.down.weight.mul_(1 / 1.5e4);
    for (const bool reuse : {false, true}) {
        m_observer.events.clear();
        TinyBlock copy(32, 48, at::kHalf);
        copy.up.weight.copy_(block.up.weight);
        copy.down.weight.copy_(block.down.weight);
        BlockInputs inputs = inputs_of(at::kHalf);
        inputs.reuse = reuse;
        const BlockResult result = tune(copy, inputs, recipe_of(5));
        QCOMPARE(warnings().filter("numeric_").size(), 1);
        QVERIFY2(warnings()[0].startsWith("numeric_precision: block 0: output of blocks.0.up"),
            qPrintable(warnings()[0]));
        QVERIFY(is_finite(result.reference_outputs) && is_finite(result.quantized_outputs));
        QVERIFY(
            std::isfinite(result.summary.loss) && std::isfinite(*result.layers[0].errors.out_mse));
        QCOMPARE(result.summary.iterations, int64_t{5});
        QCOMPARE(copy.up.weight.scalar_type(), at::kHalf);
    }
}

void NumericLadderTest::saysHowTuningDeviated()
{
    TinyBlock block(32, 48);
    FusedWeight weight(block.up, four_bits());
    const model::LinearHookScope hook(block.up, weight);
    const at::Tensor inputs = inputs_of().reference;
    int64_t faults = 0, passes = 0;
    TuningTask task;
    task.block = 7;
    task.weights = {&weight};
    task.forward = [&](const at::Tensor& hidden) {
        const at::Tensor y = block.up.forward(hidden);
        return passes++ < faults ? y * std::numeric_limits<float>::quiet_NaN() : y;
    };
    task.target = [&](const at::Tensor& samples) {
        return block.up.product(inputs.index_select(0, samples), block.up.weight);
    };
    task.inputs = inputs;
    TuningOutcome outcome = run_tuning(m_context, task, recipe_of(4));
    QVERIFY(outcome.deviation.empty() && !outcome.gave_up);
    passes = 0;
    faults = 1; // the first of each go until the second one
    outcome = run_tuning(m_context, task, recipe_of(4));
    QCOMPARE(outcome.deviation,
        std::string("tuned with a quarter of the step size: the loss is not finite at step 0"));
    QVERIFY(!outcome.gave_up);
    QVERIFY(weight.tuned().tuned().v.abs().sum().item<double>() > 0);
    passes = 0;
    faults = 2;
    outcome = run_tuning(m_context, task, recipe_of(4));
    QCOMPARE(
        outcome.deviation, std::string("rounded without tuning: the loss is not finite at step 0"));
    QVERIFY(outcome.gave_up);
    QCOMPARE(weight.tuned().tuned().v.abs().sum().item<double>(), 0.0);
    QCOMPARE(weight.tuned().tuned().max_scale.min().item<double>(), 1.0);
}

void NumericLadderTest::namesTheLayerInWhichTheOriginalOverflows()
{
    TinyBlock block(32, 48);
    block.up.weight.mul_(1e30);
    BlockInputs inputs = inputs_of();
    inputs.reference.mul_(1e15);
    inputs.quantized = inputs.reference;
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"block", "output of blocks.0.up", "16 bits"}),
        tune(block, inputs, recipe_of(5)));
}

void NumericLadderTest::stopsWhenTheQuantizedBlockIsNotFinite()
{
    // Four passes make the targets.
    FaultyBlock block([](const at::Tensor&, bool, int64_t pass) {
        return pass >= 4 ? Fault::Output : Fault::None;
    });
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"block", "output of the block"}),
        tune(block, inputs_of(), recipe_of(0)));
}

void NumericLadderTest::namesInputsThatAreNotFinite()
{
    BlockInputs inputs = inputs_of();
    inputs.quantized[3][2].fill_(std::numeric_limits<float>::infinity());
    TinyBlock block(32, 48);
    EXPECT_ERROR(NumericFailure,
        EXPECT_WORDS({"inputs of block 0 on the quantized path", "32 of 6144"}),
        tune(block, inputs, recipe_of(5)));
    inputs.reference[0][0][0] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"inputs of block 0", "1 of 6144"}),
        tune(block, inputs, recipe_of(0)));
}

void NumericLadderTest::namesInputsOfALayerOutsideTheBlocks()
{
    TinyBlock block(32, 48);
    model::Linear head("lm_head", block.up.weight.clone(), {});
    const PlannedLayer planned{"lm_head", -1, 48, 32, four_bits(), "test"};
    BlockInputs inputs = inputs_of();
    inputs.quantized[3][2].fill_(std::numeric_limits<float>::infinity());
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"inputs of lm_head", "32 of 6144"}),
        tune_layer(m_context, head, inputs, planned, recipe_of(20)));
}

void NumericLadderTest::warnsOfOutputsBeyondFp16()
{
    TinyBlock block(32, 48);
    block.down.weight.mul_(2e5);
    const BlockInputs inputs = inputs_of();
    const BlockResult first = tune(block, inputs, recipe_of(2));
    QCOMPARE(warnings().size(), 1);
    QVERIFY2(warnings()[0].startsWith("fp16_overflow: block 0"), qPrintable(warnings()[0]));
    // Not again in the blocks behind.
    m_observer.events.clear();
    TinyBlock next(32, 48);
    BlockInputs large;
    large.reference = first.reference_outputs;
    tune(next, large, recipe_of(2));
    QCOMPARE(warnings(), QStringList());
}

void NumericLadderTest::warnsOfWeightsBelowTheSmallestScale()
{
    TinyBlock block(32, 48);
    block.up.weight.mul_(1e-7);
    tune(block, inputs_of(), recipe_of(0));
    QCOMPARE(warnings(),
        QStringList{"small_scales: blocks.0.up: the weights of 96 of 96 groups are too small for "
                    "16-bit scales; they are rounded with the smallest one"});
    // Zeros are exact, and a few weights below the noise are nobody's loss.
    m_observer.events.clear();
    TinyBlock harmless(32, 48);
    harmless.up.weight.select(0, 0).zero_();
    harmless.up.weight.select(0, 1).mul_(1e-7);
    tune(harmless, inputs_of(), recipe_of(0));
    QCOMPARE(warnings(), QStringList());
}

void NumericLadderTest::keepsALayerWhoseWeightsNoScaleReaches_data()
{
    QTest::addColumn<bool>("has_data");
    QTest::addColumn<int>("iters");
    QTest::newRow("tuned") << true << 2;
    QTest::newRow("rounded") << true << 0;
    QTest::newRow("rounded without data") << false << 0;
}

void NumericLadderTest::keepsALayerWhoseWeightsNoScaleReaches()
{
    QFETCH(bool, has_data);
    QFETCH(int, iters);
    TinyBlock block(32, 48);
    block.up.weight.select(0, 3).mul_(1e7);
    block.down.weight.select(1, 3).mul_(1e-7);
    const at::Tensor original = block.up.weight.clone();
    BlockInputs inputs = has_data ? inputs_of() : BlockInputs();
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"blocks.0.up", "too large for fp16 scales"}),
        tune(block, inputs, recipe_of(iters)));
    std::vector<std::string> asked;
    inputs.may_keep = [&asked](const std::vector<std::string>& layers) {
        asked = layers;
        return true;
    };
    m_observer.events.clear();
    const BlockResult result = tune(block, inputs, recipe_of(iters));
    const std::string reason = "stays at 16 bits: the weight is too large for fp16 scales";
    QCOMPARE(asked, std::vector<std::string>{"blocks.0.up"});
    QCOMPARE(result.layers.size(), std::size_t{1});
    QCOMPARE(result.layers[0].name, std::string("blocks.0.down"));
    QCOMPARE(result.kept.size(), std::size_t{1});
    QCOMPARE(result.kept[0].name, std::string("blocks.0.up"));
    QCOMPARE(result.kept[0].reason, reason);
    QVERIFY(at::equal(block.up.weight, original));
    QVERIFY(warnings().contains(QString::fromStdString("numeric_kept: blocks.0.up " + reason)));
    const auto kept =
        std::find_if(m_observer.events.begin(), m_observer.events.end(), [](const Event& event) {
            const auto* layer = event.get_if<LayerFinished>();
            return layer != nullptr && layer->layer == "blocks.0.up";
        });
    QVERIFY(kept != m_observer.events.end());
    QCOMPARE(kept->get_if<LayerFinished>()->scheme, std::string("keep"));
    QCOMPARE(kept->get_if<LayerFinished>()->deviation, reason);
}

void NumericLadderTest::keepsALayerAfterWhichNumbersFail()
{
    TinyBlock block(32, 48);
    // Sums of 34 become sums of 46 in steps of 1: only these leave fp32.
    block.up.weight.fill_(0.6);
    block.up.weight.select(1, 0).fill_(8);
    block.up.weight.select(1, 16).fill_(8);
    block.down.weight.zero_();
    const at::Tensor original = block.up.weight.clone();
    BlockInputs inputs;
    inputs.reference = at::full({4, 12, 32}, 8.5e36);
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"block", "output of blocks.0.up"}),
        tune(block, inputs, recipe_of(0)));
    block.up.weight.copy_(original);
    inputs.may_keep = [](const std::vector<std::string>&) { return true; };
    m_observer.events.clear();
    const BlockResult result = tune(block, inputs, recipe_of(0));
    QCOMPARE(warnings(),
        QStringList{"numeric_kept: blocks.0.up stays at 16 bits: output of blocks.0.up is not "
                    "finite"});
    QCOMPARE(result.layers.size(), std::size_t{1});
    QCOMPARE(result.layers[0].name, std::string("blocks.0.down"));
    QVERIFY(at::equal(block.up.weight, original));
    QVERIFY(is_finite(result.quantized_outputs) && std::isfinite(result.summary.loss));
}

void NumericLadderTest::keepsWhatRuntimesFuseWithIt()
{
    FusedBlock block;
    block.inner.down.weight.mul_(1e8);
    BlockInputs inputs = inputs_of();
    inputs.quantized = inputs.reference;
    inputs.may_keep = [](const std::vector<std::string>& layers) { return layers.size() == 2; };
    const BlockResult result = tune(block, inputs, recipe_of(0));
    QVERIFY(result.layers.empty());
    QCOMPARE(result.kept.size(), std::size_t{2});
    QCOMPARE(result.kept[0].name, std::string("blocks.0.up"));
    QCOMPARE(result.kept[0].reason,
        std::string("stays at 16 bits: runtimes fuse it with blocks.0.down, where the weight is "
                    "too large for fp16 scales"));
    QCOMPARE(result.summary.loss, 0.0);
}

BITSMITH_TEST(NumericLadderTest)
#include "numeric_ladder_test.moc"
