// SPDX-License-Identifier: GPL-3.0-or-later
// The kernels, the whole-tensor expressions and the codecs have to agree.
#include "quant/codec.h"
#include "quant/range_search.h"
#include "support/test_main.h"
#include "tune/affine_steps.h"
#include "values/scheme_presets.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tune;

class AffineStepsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void kernelsGiveTheCodecsValues_data() { schemes(); }
    void kernelsGiveTheCodecsValues();
    void kernelsAndExpressionsStepAlike_data() { schemes(); }
    void kernelsAndExpressionsStepAlike();
    void stepsFollowTheGradientOfAutograd_data() { schemes(); }
    void stepsFollowTheGradientOfAutograd();
    void superScalesStepAsTheirCodecDoes_data();
    void superScalesStepAsTheirCodecDoes();

private:
    static void schemes();
    static AffineState state(at::ScalarType type);
};

void AffineStepsTest::schemes()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("group");
    QTest::addColumn<bool>("sym");
    QTest::addColumn<bool>("minimum");
    QTest::addColumn<bool>("searched");
    for (const int bits : {2, 3, 4, 8}) {
        for (const int group : {32, 64, 48, -1, 0}) {
            QTest::addRow("%d bits symmetric, group %d", bits, group)
                << bits << group << true << false << false;
            QTest::addRow("%d bits asymmetric, group %d", bits, group)
                << bits << group << false << false << false;
        }
    }
    QTest::newRow("4 bits with minimum") << 4 << 32 << false << true << false;
    QTest::newRow("5 bits with minimum, short group") << 5 << 48 << false << true << false;
    for (const int group : {64, 48, -1, 0}) {
        QTest::addRow("2 bits symmetric, searched, group %d", group)
            << 2 << group << true << false << true;
        QTest::addRow("4 bits asymmetric, searched, group %d", group)
            << 4 << group << false << false << true;
    }
    QTest::newRow("4 bits with minimum, searched") << 4 << 32 << false << true << true;
}

AffineState AffineStepsTest::state(at::ScalarType type)
{
    QFETCH(int, bits);
    QFETCH(int, group);
    QFETCH(bool, sym);
    QFETCH(bool, minimum);
    Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = group;
    scheme.sym = sym;
    scheme.data_type = minimum ? DataType::IntFloatZero : DataType::Int;
    at::manual_seed(2);
    at::Tensor w = (at::randn({40, 160}) * 0.1).to(type);
    w[3].zero_();
    w[4].mul_(1e-6); // scales at the threshold
    QFETCH(bool, searched);
    quant::TunedValues start;
    if (searched) {
        start.range = quant::search_range(w, scheme, {});
    }
    AffineState state(w, scheme, start);
    state.tuned.v.copy_(at::randn(state.tuned.v.sizes()) * 0.3);
    state.tuned.min_scale.copy_(at::rand(state.tuned.min_scale.sizes()) * 0.7 + 0.3);
    state.tuned.max_scale.copy_(at::rand(state.tuned.max_scale.sizes()) * 0.7 + 0.3);
    state.gradient = at::randn({40, 160}).to(type);
    if (searched) { // factors above 1 too
        state.tuned.min_scale.mul_(1.5);
        state.tuned.max_scale.mul_(1.5);
    }
    return state;
}

void AffineStepsTest::kernelsGiveTheCodecsValues()
{
    AffineState s = state(at::kFloat);
    quantize_(s);
    const quant::Codec& codec = quant::codec_for(s.scheme);
    QVERIFY(at::equal(s.values, codec.fake_quantize(s.weight, s.scheme, s.tuned)));
    QVERIFY(at::equal(s.values, codec.decode(codec.encode(s.weight, s.scheme, s.tuned))));
    AffineState d = state(at::kDouble);
    quantize_(d);
    QVERIFY(at::equal(d.values, codec.fake_quantize(d.weight, d.scheme, d.tuned)));
}

void AffineStepsTest::kernelsAndExpressionsStepAlike()
{
    AffineState kernels = state(at::kDouble), expressions = state(at::kDouble);
    for (int i = 0; i < 5; ++i) {
        const StepSizes sizes{0.02, 0.01, /*open_ends=*/i % 2 == 1};
        quantize_(kernels);
        quantize_by_expressions_(expressions);
        QVERIFY(at::equal(kernels.values, expressions.values));
        step_(kernels, sizes);
        step_by_expressions_(expressions, sizes);
        QVERIFY(at::equal(kernels.tuned.v, expressions.tuned.v));
        QVERIFY(at::equal(kernels.tuned.min_scale, expressions.tuned.min_scale));
        QVERIFY(at::equal(kernels.tuned.max_scale, expressions.tuned.max_scale));
    }
    const at::Tensor before = kernels.tuned.min_scale.clone();
    step_(kernels, {0.02, 0.0});
    QVERIFY(at::equal(before, kernels.tuned.min_scale));
}

void AffineStepsTest::stepsFollowTheGradientOfAutograd()
{
    AffineState s = state(at::kDouble);
    quant::TunedValues leaves = s.tuned;
    for (at::Tensor* part : {&leaves.v, &leaves.min_scale, &leaves.max_scale}) {
        *part = part->clone().requires_grad_();
    }
    const at::Tensor values = quant::codec_for(s.scheme).fake_quantize(s.weight, s.scheme, leaves);
    (values * s.gradient).sum().backward();
    quantize_(s);
    step_(s, {0.02, 0.01});
    const at::NoGradGuard no_grad;
    const double largest = s.tuned.largest_factor();
    const auto stepped = [](const at::Tensor& leaf, double lr) {
        return leaf - leaf.grad().sign() * lr;
    };
    // Filled-up positions have V but no weight; autograd leaves them alone as well.
    QVERIFY(at::allclose(s.tuned.v, stepped(leaves.v, 0.02), 0, 1e-12));
    QVERIFY(at::allclose(
        s.tuned.min_scale, stepped(leaves.min_scale, 0.01).clamp(0, largest), 0, 1e-12));
    QVERIFY(at::allclose(
        s.tuned.max_scale, stepped(leaves.max_scale, 0.01).clamp(0, largest), 0, 1e-12));
}

void AffineStepsTest::superScalesStepAsTheirCodecDoes_data()
{
    QTest::addColumn<QString>("type");
    QTest::addColumn<bool>("searched");
    for (const char* type : {"q2_k", "q3_k", "q4_k", "q5_k", "q6_k"}) {
        QTest::addRow("%s", type) << type << false;
        QTest::addRow("%s, searched", type) << type << true;
    }
}

void AffineStepsTest::superScalesStepAsTheirCodecDoes()
{
    QFETCH(QString, type);
    QFETCH(bool, searched);
    const Scheme scheme = find_gguf_preset(type.toStdString())->scheme;
    at::manual_seed(3);
    at::Tensor w = (at::randn({40, 512}) * 0.1).to(at::kDouble);
    w[3].zero_();
    w[4].mul_(1e-9); // integers of 0
    w[5][7] = 30.0; // and next to large ones
    quant::TunedValues start;
    if (searched) {
        start.range = quant::codec_for(scheme).search(w.to(at::kFloat), scheme, {}, {});
    }
    AffineState by_kernel(w, scheme, start), by_codec(w, scheme, start);
    for (AffineState* s : {&by_kernel, &by_codec}) {
        at::manual_seed(4);
        s->tuned.v.copy_(at::randn(s->tuned.v.sizes()) * 0.3);
        s->tuned.min_scale.copy_(at::rand(s->tuned.min_scale.sizes()) * 0.7 + 0.3);
        s->tuned.max_scale.copy_(at::rand(s->tuned.max_scale.sizes()) * 0.7 + 0.3);
        s->gradient = at::randn(w.sizes()).to(at::kDouble);
        s->gradient[6].zero_();
    }
    for (const double range : {0.02, 0.0, 0.02}) {
        quantize_(by_kernel);
        quantize_by_codec_(by_codec);
        QVERIFY(at::equal(by_kernel.values, by_codec.values));
        QVERIFY((by_kernel.scale == 0).any().item<bool>());
        step_(by_kernel, {0.05, range});
        step_by_codec_(by_codec, {0.05, range});
        QVERIFY(at::equal(by_kernel.tuned.v, by_codec.tuned.v));
        QVERIFY(at::equal(by_kernel.tuned.min_scale, by_codec.tuned.min_scale));
        QVERIFY(at::equal(by_kernel.tuned.max_scale, by_codec.tuned.max_scale));
    }
}

BITSMITH_TEST(AffineStepsTest)
#include "affine_steps_test.moc"
