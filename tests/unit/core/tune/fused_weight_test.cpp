// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "tune/fused_weight.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <limits>

using namespace bitsmith;
using namespace bitsmith::tune;

class FusedWeightTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void givesTheGradientOfTheFakeQuantizedProduct();
    void addsGradientsOfSeveralForwards();
    void skipsTheInputsGradientWhenNobodyWantsIt();
    void leavesAWeightWithoutGradientAlone();
    void restoresWhatItSaved();
    void freezesToTheValuesItMultipliesWith();
    void namesTheLayerOfABrokenWeight();

private:
    static model::Linear linear()
    {
        at::manual_seed(8);
        return {"a.layer", at::randn({24, 64}), at::randn({24})};
    }
    static Scheme scheme()
    {
        Scheme scheme;
        scheme.group_size = 32;
        return scheme;
    }
};

void FusedWeightTest::givesTheGradientOfTheFakeQuantizedProduct()
{
    model::Linear layer = linear();
    FusedWeight weight(layer, scheme());
    const at::Tensor x = at::randn({2, 5, 64}).requires_grad_();
    const at::Tensor target = at::randn({2, 5, 24});
    const model::LinearHookScope hook(layer, weight);
    at::mse_loss(layer.forward(x), target).backward();

    const at::Tensor x2 = x.detach().clone().requires_grad_();
    const at::Tensor w2 = weight.tuned().values().clone().requires_grad_();
    at::mse_loss(at::linear(x2, w2, layer.bias), target).backward();
    QVERIFY(at::allclose(x.grad(), x2.grad()));
    QVERIFY(at::allclose(weight.tuned().gradient(), w2.grad(), 1e-5, 1e-7));
}

void FusedWeightTest::addsGradientsOfSeveralForwards()
{
    model::Linear layer = linear();
    FusedWeight weight(layer, scheme());
    const model::LinearHookScope hook(layer, weight);
    const at::Tensor x = at::randn({6, 64});
    layer.forward(x).sum().backward();
    const at::Tensor whole = weight.tuned().gradient().clone();
    weight.tuned().clear_gradient();
    layer.forward(x.narrow(0, 0, 2)).sum().backward();
    layer.forward(x.narrow(0, 2, 4)).sum().backward();
    QVERIFY(at::allclose(weight.tuned().gradient(), whole, 1e-5, 1e-6));
}

void FusedWeightTest::skipsTheInputsGradientWhenNobodyWantsIt()
{
    model::Linear layer = linear();
    FusedWeight weight(layer, scheme());
    const model::LinearHookScope hook(layer, weight);
    const at::Tensor x = at::randn({6, 64});
    const at::Tensor y = layer.forward(x);
    QVERIFY(y.requires_grad());
    y.sum().backward();
    QVERIFY(weight.tuned().has_gradient());
    QVERIFY(!x.grad().defined());
    const at::NoGradGuard no_grad;
    QVERIFY(!layer.forward(x).requires_grad());
}

void FusedWeightTest::leavesAWeightWithoutGradientAlone()
{
    model::Linear layer = linear();
    FusedWeight weight(layer, scheme());
    weight.tuned().step({0.1, 0.1});
    QCOMPARE(weight.tuned().tuned().v.abs().max().item<double>(), 0.0);
}

void FusedWeightTest::restoresWhatItSaved()
{
    model::Linear layer = linear();
    FusedWeight weight(layer, scheme());
    const model::LinearHookScope hook(layer, weight);
    const at::Tensor start = weight.tuned().values().clone();
    const auto step = [&] {
        layer.forward(at::randn({6, 64})).square().sum().backward();
        weight.tuned().step({0.2, 0.2});
    };
    step();
    quant::TunedValues saved;
    weight.tuned().save(saved);
    const at::Tensor first = weight.tuned().values().clone();
    step();
    QVERIFY(!at::equal(first, weight.tuned().values()));
    weight.tuned().restore(saved);
    QVERIFY(at::equal(first, weight.tuned().values()));
    weight.tuned().restore({});
    QVERIFY(at::equal(start, weight.tuned().values()));
}

void FusedWeightTest::freezesToTheValuesItMultipliesWith()
{
    model::Linear layer = linear();
    FusedWeight weight(layer, scheme());
    const model::LinearHookScope hook(layer, weight);
    for (int i = 0; i < 4; ++i) {
        layer.forward(at::randn({6, 64})).square().sum().backward();
        weight.tuned().step({0.1, 0.1});
    }
    const quant::QuantizedWeight codes = weight.tuned().freeze();
    QVERIFY(at::equal(quant::codec_for(codes.scheme).decode(codes), weight.tuned().values()));
}

void FusedWeightTest::namesTheLayerOfABrokenWeight()
{
    model::Linear layer = linear();
    layer.weight[0][0] = std::numeric_limits<float>::quiet_NaN();
    try {
        const FusedWeight weight(layer, scheme());
        QFAIL("a weight that is not finite was accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::NumericFailure);
        QVERIFY(std::string(error.what()).find("a.layer") != std::string::npos);
    }
}

BITSMITH_TEST(FusedWeightTest)
#include "fused_weight_test.moc"
