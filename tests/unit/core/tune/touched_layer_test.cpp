// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tune/touched_layer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tune;

class TouchedLayerTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void followsTheGradientOfTheFactors_data();
    void followsTheGradientOfTheFactors();
    void keepsTheCodes();
    void findsAScaleThatWasWrong();
    void normsKeepTheTypeOfTheCheckpoint();
};

void TouchedLayerTest::followsTheGradientOfTheFactors_data()
{
    QTest::addColumn<int>("group");
    QTest::addColumn<bool>("sym");
    QTest::newRow("groups") << 32 << true;
    QTest::newRow("short last group, zero points") << 48 << false;
    QTest::newRow("rows") << -1 << true;
    QTest::newRow("one group") << 0 << true;
}

void TouchedLayerTest::followsTheGradientOfTheFactors()
{
    QFETCH(int, group);
    QFETCH(bool, sym);
    Scheme scheme;
    scheme.bits = 3;
    scheme.group_size = group;
    scheme.sym = sym;
    at::manual_seed(4);
    const at::Tensor weight = at::randn({6, 64}) * 0.1, gradient = at::randn({6, 64});
    const quant::Codec& codec = quant::codec_for(scheme);
    const quant::QuantizedWeight codes = codec.encode(weight, scheme, {});
    TouchedLayer layer(codes);
    layer.add_gradient(gradient, codec.decode(layer.apply(codes)));
    layer.factors().step(0.01, 1);
    // The first step of Adam goes by the sign of the gradient: Σ_group G · Ŵ.
    const at::Tensor values = codec.decode(codes);
    const int64_t width = codes.columns() / codes.scales.size(1);
    for (int64_t row = 0; row < 6; ++row) {
        for (int64_t i = 0; i < codes.scales.size(1); ++i) {
            const int64_t first = group == 48 ? i * 48 : i * width;
            const int64_t count = group == 48 ? (i == 0 ? 48 : 16) : width;
            const double sum =
                (gradient * values).select(0, row).narrow(0, first, count).sum().item<double>();
            const double moved = layer.factors().values()[row][i].item<double>() - 1;
            QVERIFY2(std::abs(moved + (sum > 0 ? 0.01 : -0.01)) < 1e-5,
                qPrintable(QString("%1 for %2").arg(moved).arg(sum)));
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
    Scheme scheme;
    scheme.group_size = 32;
    at::manual_seed(5);
    const quant::Codec& codec = quant::codec_for(scheme);
    const quant::QuantizedWeight codes = codec.encode(at::randn({4, 64}), scheme, {});
    TouchedLayer layer(codes);
    QVERIFY(at::equal(layer.apply(codes).scales, codes.scales));
    layer.add_gradient(at::ones({4, 64}), codec.decode(codes));
    layer.factors().step(0.1, 1);
    const quant::QuantizedWeight touched = layer.apply(codes);
    QVERIFY(at::equal(touched.codes, codes.codes));
    QVERIFY(!at::equal(touched.scales, codes.scales));
    QCOMPARE(touched.scales.scalar_type(), at::kHalf);
}

void TouchedLayerTest::findsAScaleThatWasWrong()
{
    Scheme scheme;
    scheme.bits = 4;
    scheme.group_size = 32;
    at::manual_seed(6);
    const at::Tensor weight = at::randn({8, 32}) * 0.1;
    const quant::Codec& codec = quant::codec_for(scheme);
    quant::QuantizedWeight codes = codec.encode(weight, scheme, {});
    codes.scales = codes.scales * 1.2;
    TouchedLayer layer(codes);
    const auto error = [&] {
        return (codec.decode(layer.apply(codes)) - weight).square().mean().item<double>();
    };
    const double before = error();
    for (int64_t i = 0; i < 60; ++i) {
        const at::Tensor values = codec.decode(layer.apply(codes));
        layer.add_gradient(2 * (values - weight), values);
        layer.factors().step(0.01 * (1 - static_cast<double>(i) / 60), i + 1);
    }
    QVERIFY2(error() < 0.3 * before, qPrintable(QString("%1 -> %2").arg(before).arg(error())));
}

BITSMITH_TEST(TouchedLayerTest)
#include "touched_layer_test.moc"
