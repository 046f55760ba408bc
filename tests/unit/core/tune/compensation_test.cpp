// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/compensated.h"
#include "support/test_main.h"
#include "support/tiny_block.h"
#include "tune/compensation.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tune;
using bitsmith::test::TinyBlock;

namespace {

/// A block's inputs on both paths, and the weights of its positions.
struct Paths
{
    Paths()
    {
        at::manual_seed(3);
        original =
            at::randn({10, 12, 6}).matmul(at::randn({6, 32})) + at::randn({10, 12, 32}) * 0.3;
        quantized = original + at::randn({10, 12, 32}) * 0.2;
        weights = at::rand({10, 12}) + 0.5;
    }
    at::Tensor original, quantized, weights;
    int64_t holdout = 2;
};

Scheme three_bits()
{
    Scheme scheme;
    scheme.bits = 3;
    scheme.group_size = 16;
    return scheme;
}

/// Codes of both layers. `stream`: that the outputs of the second one are added to.
std::vector<at::Tensor> codes_of(const Paths& paths, model::AddedTo stream, int64_t most_kept)
{
    TinyBlock block(32, 48);
    const Plan plan = plan_for(block, three_bits());
    std::vector<PlannedLinear> layers = planned_linears(block, plan);
    layers[1].added_to = stream;
    const model::BlockShared shared = test::shared_for(paths.original);
    const std::vector<quant::TunedValues> starts(2);
    RecordingObserver observer;
    EventEmitter emitter(observer);
    RunContext context{emitter, {}, "cpu", 42};
    std::vector<at::Tensor> originals, codes;
    for (const FinishedLayer& layer : compensate_layers(context,
             {block, shared, paths.original, paths.quantized, paths.weights, paths.holdout,
                 /*micro_batch=*/3, c10::kCPU, starts, most_kept},
             layers, originals)) {
        codes.push_back(layer.weight.codes);
    }
    return codes;
}

/// lab.md 7.3 with moments by their definition, over all tokens at once in double precision.
/// Replaces the weight.
at::Tensor plain_codes(model::Linear& linear, const at::Tensor& seen, const at::Tensor& original,
    const at::Tensor& stream, const at::Tensor& weights)
{
    const at::Tensor x = seen.flatten(0, -2).to(at::kDouble);
    const at::Tensor weighted = x * weights.flatten().to(at::kDouble).unsqueeze(1);
    const auto moment = [&weighted](const at::Tensor& of) {
        return of.flatten(0, -2).to(at::kDouble).t().matmul(weighted).to(at::kFloat);
    };
    const quant::InputMoments moments{
        moment(seen), moment(original - seen), stream.defined() ? moment(stream) : at::Tensor()};
    const Scheme scheme = three_bits();
    const quant::Codec& codec = quant::codec_for(scheme);
    const at::Tensor target = quant::corrected_weight(linear.weight, moments, 0.5);
    quant::TunedValues start;
    start.range = codec.search(target, scheme, moments.hessian.diagonal(), {});
    const quant::QuantizedWeight found = quant::compensated_encode(target, scheme, start, moments);
    linear.weight = codec.decode(found);
    return found.codes;
}

double share_of_equal(const at::Tensor& a, const at::Tensor& b)
{
    return (a == b).to(at::kDouble).mean().item<double>();
}

} // namespace

class CompensationTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void roundsByTheMomentsOfBothPaths_data();
    void roundsByTheMomentsOfBothPaths();
    void doesNotDependOnWhatIsKept();
};

void CompensationTest::roundsByTheMomentsOfBothPaths_data()
{
    QTest::addColumn<bool>("has_stream");
    QTest::newRow("outputs added to nothing known") << false;
    QTest::newRow("outputs added to the input") << true;
}

void CompensationTest::roundsByTheMomentsOfBothPaths()
{
    QFETCH(bool, has_stream);
    const at::NoGradGuard no_grad;
    const Paths paths;
    const std::vector<at::Tensor> codes = codes_of(
        paths, has_stream ? model::AddedTo::Input : model::AddedTo::Nothing, kMostKeptBytes);

    TinyBlock block(32, 48);
    const auto used = [&paths](const at::Tensor& all) {
        return all.narrow(0, 0, all.size(0) - paths.holdout);
    };
    const at::Tensor x = used(paths.original), seen = used(paths.quantized);
    const at::Tensor weights = used(paths.weights), inner = at::silu(block.up.forward(x));
    const at::Tensor up = plain_codes(block.up, seen, x, {}, weights);
    QVERIFY2(share_of_equal(codes[0], up) > 0.99,
        qPrintable(QString::number(share_of_equal(codes[0], up))));
    const at::Tensor down = plain_codes(block.down, at::silu(block.up.forward(seen)), inner,
        has_stream ? x - seen : at::Tensor(), weights);
    QVERIFY2(share_of_equal(codes[1], down) > 0.99,
        qPrintable(QString::number(share_of_equal(codes[1], down))));
}

void CompensationTest::doesNotDependOnWhatIsKept()
{
    const Paths paths;
    const std::vector<at::Tensor> kept = codes_of(paths, model::AddedTo::Input, kMostKeptBytes);
    const std::vector<at::Tensor> computed = codes_of(paths, model::AddedTo::Input, 0);
    QVERIFY(at::equal(kept[0], computed[0]));
    QVERIFY(at::equal(kept[1], computed[1]));
}

BITSMITH_TEST(CompensationTest)
#include "compensation_test.moc"
