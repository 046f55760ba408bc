// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tune/touched_layer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <algorithm>

using namespace bitsmith;
using namespace bitsmith::tune;

namespace {

Scheme integers(int64_t bits, int64_t group, bool sym)
{
    Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = group;
    scheme.sym = sym;
    return scheme;
}

Scheme short_tiles()
{
    Scheme scheme = parse_scheme("FP8_BLOCK");
    scheme.group_rows = 4;
    scheme.group_size = 48;
    return scheme;
}

void add_kinds()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::newRow("groups") << integers(3, 32, true);
    QTest::newRow("short last group, zero points") << integers(3, 48, false);
    QTest::newRow("rows") << integers(3, kGroupPerRow, true);
    QTest::newRow("one group") << integers(3, kGroupPerTensor, true);
    QTest::newRow("FP8, short tiles") << short_tiles();
    for (const char* name : {"gguf:q4_1", "gguf:q2_k", "gguf:q3_k", "gguf:q4_k", "gguf:q6_k",
             "FP8_DYNAMIC", "FPW8A16", "NVFP4", "NVFP4_E5M3"}) {
        QTest::newRow(name) << parse_scheme(name);
    }
}

bool is_tuned(TouchedLayer& layer, const quant::WeightPart& part)
{
    return std::any_of(layer.parts().begin(), layer.parts().end(),
        [&](const TouchedPart& touched) { return touched.part().part.tensor == part.tensor; });
}

} // namespace

class TouchedLayerTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void followsTheGradientOfTheFactors_data() { add_kinds(); }
    void followsTheGradientOfTheFactors();
    void keepsTheCodes_data() { add_kinds(); }
    void keepsTheCodes();
    void findsScalesThatWereWrong_data();
    void findsScalesThatWereWrong();
    void leavesPowersOfTwoAlone();
    void normsKeepTheTypeOfTheCheckpoint();
};

void TouchedLayerTest::followsTheGradientOfTheFactors()
{
    QFETCH(Scheme, scheme);
    at::manual_seed(4);
    const at::Tensor weight = at::randn({6, 512}) * 0.1, gradient = at::randn({6, 512});
    const quant::Codec& codec = quant::codec_for(scheme);
    const quant::QuantizedWeight codes = codec.encode(weight, scheme, {});
    const at::Tensor values = codec.decode(codes);
    TouchedLayer layer(codes);
    layer.add_gradient(gradient, values);
    for (TouchedPart& part : layer.parts()) {
        part.factors().step(0.01, 1);
        const at::Tensor moved = (part.factors().values() - 1).flatten();
        for (int64_t i = 0; i < moved.numel(); ++i) {
            // The first step of Adam goes by the sign of Σ G·C, C being what Ŵ lacks without it.
            quant::QuantizedWeight without = codes;
            at::Tensor& numbers = without.*part.part().part.tensor;
            numbers = numbers.clone();
            numbers.view({-1})[i].zero_();
            const double sum = (gradient * (values - codec.decode(without))).sum().item<double>();
            const double expected = sum > 0 ? -0.01 : sum < 0 ? 0.01 : 0;
            const double found = moved[i].item<double>();
            QVERIFY2(std::abs(found - expected) < 1e-5,
                qPrintable(QString("%1 for %2").arg(found).arg(sum)));
        }
    }
}

void TouchedLayerTest::normsKeepTheTypeOfTheCheckpoint()
{
    // A norm of 1 + weight: the factor is on the sum, what is stored is without the 1.
    const at::Tensor stored = at::tensor({0.5F, -0.25F, 0.0F}).to(at::kBFloat16);
    const at::Tensor weight = stored.to(at::kFloat) + 1.0;
    TouchedNorm norm(weight, 1.0, at::kBFloat16);
    QVERIFY(at::equal(norm.stored(), stored) && at::equal(norm.weight(), weight));
    norm.add_gradient(at::tensor({1.0F, -1.0F, 2.0F}));
    norm.factors().step(0.125, 1);
    QCOMPARE(norm.stored().scalar_type(), at::kBFloat16);
    const at::Tensor expected = weight * at::tensor({0.875F, 1.125F, 0.875F});
    QVERIFY(at::allclose(norm.weight(), expected, 0.01, 0.0));
    QVERIFY(at::equal(norm.weight(), norm.stored().to(at::kFloat) + 1.0));
}

void TouchedLayerTest::keepsTheCodes()
{
    QFETCH(Scheme, scheme);
    at::manual_seed(5);
    const quant::Codec& codec = quant::codec_for(scheme);
    const quant::QuantizedWeight codes = codec.encode(at::randn({6, 512}) * 0.1, scheme, {});
    TouchedLayer layer(codes);
    const quant::QuantizedWeight same = layer.apply(codes);
    layer.add_gradient(at::ones({6, 512}), codec.decode(codes));
    for (TouchedPart& part : layer.parts()) {
        part.factors().step(0.1, 1);
    }
    const quant::QuantizedWeight touched = layer.apply(codes);
    for (const quant::WeightPart& part : quant::kWeightParts) {
        const at::Tensor &before = codes.*part.tensor, &after = touched.*part.tensor;
        QCOMPARE(after.defined(), before.defined());
        if (!before.defined()) {
            continue;
        }
        QVERIFY2(at::equal(same.*part.tensor, before), part.name);
        QVERIFY2(at::equal(after, before) != is_tuned(layer, part), part.name);
        QCOMPARE(after.scalar_type(), before.scalar_type());
    }
}

void TouchedLayerTest::findsScalesThatWereWrong_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::newRow("integers") << integers(4, 32, true);
    QTest::newRow("FP8, short tiles") << short_tiles();
    for (const char* name :
        {"gguf:q4_1", "gguf:q4_k", "gguf:q6_k", "FP8_DYNAMIC", "FPW8A16", "NVFP4", "NVFP4_E5M3"}) {
        QTest::newRow(name) << parse_scheme(name);
    }
}

void TouchedLayerTest::findsScalesThatWereWrong()
{
    QFETCH(Scheme, scheme);
    at::manual_seed(6);
    const at::Tensor weight = at::randn({8, 256}) * 0.1;
    const quant::Codec& codec = quant::codec_for(scheme);
    quant::QuantizedWeight codes = codec.encode(weight, scheme, {});
    TouchedLayer wrong(codes);
    for (TouchedPart& part : wrong.parts()) {
        part.factors().set_values(at::full_like(part.factors().values(), 1.25));
    }
    codes = wrong.apply(codes);
    TouchedLayer layer(codes);
    const auto error = [&] {
        return (codec.decode(layer.apply(codes)) - weight).square().mean().item<double>();
    };
    const double before = error();
    for (int64_t i = 0; i < 60; ++i) {
        const at::Tensor values = codec.decode(layer.apply(codes));
        layer.add_gradient(2 * (values - weight), values);
        for (TouchedPart& part : layer.parts()) {
            part.factors().step(0.01 * (1 - static_cast<double>(i) / 60), i + 1);
        }
    }
    QVERIFY2(error() < 0.4 * before, qPrintable(QString("%1 -> %2").arg(before).arg(error())));
}

void TouchedLayerTest::leavesPowersOfTwoAlone()
{
    for (const char* name : {"MXFP4", "MXFP8_RCEIL", "MXINT4"}) {
        const Scheme scheme = parse_scheme(name);
        QVERIFY2(quant::codec_for(scheme).tunable_parts(scheme).empty(), name);
    }
}

BITSMITH_TEST(TouchedLayerTest)
#include "touched_layer_test.moc"
