// SPDX-License-Identifier: GPL-3.0-or-later
// Norms, rotary frequencies, masks, routers and activations against values worked out by hand or by
// a second, plain formula.
#include "model/attention.h"
#include "model/block_shared.h"
#include "model/expert_storage.h"
#include "model/mlp.h"
#include "model/moe.h"
#include "model/norm.h"
#include "model/rope.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <QtTest>

#include <cmath>

using namespace bitsmith;
using namespace bitsmith::model;

namespace {

bool close(const at::Tensor& a, const at::Tensor& b, double tolerance = 1e-6)
{
    return a.sizes() == b.sizes()
        && at::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance);
}

/// Four query heads on two key/value heads; the output is the heads side by side.
Attention grouped_attention(MaskKind mask, at::ScalarType type)
{
    at::manual_seed(5);
    Attention attention;
    attention.spec.n_heads = 4;
    attention.spec.n_kv_heads = 2;
    attention.spec.head_dim = attention.spec.value_dim = 8;
    attention.spec.scale = 1 / std::sqrt(8.0);
    attention.spec.mask = mask;
    attention.spec.window = 3;
    const auto layer = [&](int64_t rows) {
        // Rounded in both types, so that they hold the same numbers.
        return Linear({}, at::randn({rows, 32}).to(at::kBFloat16).to(type).div_(4), {});
    };
    attention.q = layer(32);
    attention.k = layer(16);
    attention.v = layer(16);
    attention.o = Linear({}, at::eye(32, type), {});
    return attention;
}

/// Output for `x` and the gradient of the sum of squares of the last tokens', both fp32.
std::pair<at::Tensor, at::Tensor> attended(
    MaskKind mask, const at::Tensor& x, const at::Tensor& padding)
{
    const at::Tensor input = x.detach().requires_grad_();
    const BlockShared shared(x.size(1), 0, x.options(), padding);
    const at::Tensor output =
        grouped_attention(mask, x.scalar_type()).forward(input, shared, nullptr, nullptr);
    output.narrow(1, 3, x.size(1) - 3).to(at::kFloat).square().sum().backward();
    return {output.detach().to(at::kFloat), input.grad().to(at::kFloat)};
}

} // namespace

class ModelComponentsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void normsRoundBeforeOrAfterTheWeight();
    void normsHaveTheGradientOfTheirFormula();
    void addsOneToTheWeightOfGemmaNorms();
    void computesTheMeanSquareInFp32();
    void refusesNormsWithoutAnImplementation();
    void stretchesFrequenciesLinearly();
    void keepsFastAndStretchesSlowFrequenciesForLlama3();
    void raisesTheBaseOfDynamicRotaryBeyondTheTrainedLength();
    void blendsYarnFrequenciesBetweenTheCorrectionBounds();
    void switchesLongropeFactorsAtTheOriginalLength();
    void turnsOnlyThePartialDimensions();
    void rotationKeepsLengthsAndDependsOnDistanceOnly();
    void slidingMaskCountsTheTokenItself();
    void masksPastTokensAndPadding();
    void givesNoMaskWhenNothingIsHidden();
    void attendsInBf16AsInFp32_data();
    void attendsInBf16AsInFp32();
    void renormalisesTheChosenExpertsWhenAsked();
    void takesTheSoftmaxOverTheChosenExperts();
    void clampsGptOssGates();
    void decodesMxfp4Blocks();
    void growsAndFiltersTheCache();
};

void ModelComponentsTest::normsRoundBeforeOrAfterTheWeight()
{
    // The product of the rounded numbers rounds to another bf16 number than the whole product.
    const at::Tensor x = at::tensor({3.0F, 4.0F}).to(at::kBFloat16);
    const at::Tensor weight = at::tensor({1.015625F, 1.015625F}).to(at::kBFloat16);
    const at::Tensor normed = x.to(at::kFloat) / std::sqrt(12.5F);
    NormSpec spec{NormKind::Rms, NormCast::CastThenScale, 0, false};
    QVERIFY(Norm(spec, weight).forward(x).equal(normed.to(at::kBFloat16) * weight));
    spec.cast = NormCast::ScaleThenCast;
    QVERIFY(
        Norm(spec, weight).forward(x).equal((normed * weight.to(at::kFloat)).to(at::kBFloat16)));
    QVERIFY(!(normed.to(at::kBFloat16) * weight)
                 .equal((normed * weight.to(at::kFloat)).to(at::kBFloat16)));
}

void ModelComponentsTest::normsHaveTheGradientOfTheirFormula()
{
    at::manual_seed(3);
    const at::Tensor weight = at::randn({24}), gradient = at::randn({2, 5, 24});
    const at::Tensor x = at::randn({2, 5, 24}).requires_grad_();
    const at::Tensor plain = x.detach().clone().requires_grad_();
    Norm({NormKind::Rms, NormCast::CastThenScale, 1e-5, false}, weight)
        .forward(x)
        .backward(gradient);
    (plain * (plain.square().mean({-1}, true) + 1e-5).rsqrt() * weight).backward(gradient);
    QVERIFY(at::allclose(x.grad(), plain.grad(), 1e-5, 1e-6));
}

void ModelComponentsTest::addsOneToTheWeightOfGemmaNorms()
{
    const at::Tensor x = at::tensor({3.0F, 4.0F});
    const NormSpec spec{NormKind::RmsOnePlus, NormCast::ScaleThenCast, 0, false};
    const at::Tensor y = Norm(spec, at::tensor({0.5F, 0.0F})).forward(x);
    QVERIFY(close(y, at::tensor({1.5F * 3, 4.0F}) / std::sqrt(12.5F)));
}

void ModelComponentsTest::computesTheMeanSquareInFp32()
{
    const at::Tensor x = at::full({1, 4096}, 300.0).to(at::kHalf); // 300² overflows fp16
    const at::Tensor y = Norm(NormSpec{}, at::ones({4096}, at::kHalf)).forward(x);
    QVERIFY(close(y, at::ones({1, 4096}), 1e-3));
}

void ModelComponentsTest::refusesNormsWithoutAnImplementation()
{
    const NormSpec spec{NormKind::Layer, NormCast::CastThenScale, 1e-5, true};
    QVERIFY_EXCEPTION_THROWN(Norm(spec, at::ones({2})), Error);
}

void ModelComponentsTest::stretchesFrequenciesLinearly()
{
    RotarySpec spec;
    const at::Tensor plain = rotary_frequencies(spec, 8, 1).inverse;
    QVERIFY(close(plain, at::tensor({1.0, 0.1, 0.01, 0.001}), 1e-6));
    spec.kind = RotaryKind::Linear;
    spec.factor = 4;
    QVERIFY(close(rotary_frequencies(spec, 8, 1).inverse, plain / 4));
}

void ModelComponentsTest::keepsFastAndStretchesSlowFrequenciesForLlama3()
{
    RotarySpec spec;
    spec.kind = RotaryKind::Llama3;
    spec.factor = 8;
    spec.original_length = 64; // wavelengths: 6.28 (fast), 62.8 (between 16 and 64), 628, 6283
    const at::Tensor f = rotary_frequencies(spec, 8, 1).inverse;
    const double wavelength = 2 * M_PI * 10;
    const double g = (64 / wavelength - 1) / 3;
    const double between = (1 - g) * 0.1 / 8 + g * 0.1;
    QVERIFY(close(f, at::tensor({1.0, between, 0.01 / 8, 0.001 / 8}), 1e-5));
}

void ModelComponentsTest::raisesTheBaseOfDynamicRotaryBeyondTheTrainedLength()
{
    RotarySpec spec;
    spec.kind = RotaryKind::Dynamic;
    spec.factor = 2;
    spec.max_length = 16;
    const at::Tensor within = rotary_frequencies(spec, 8, 16).inverse;
    QVERIFY(close(within, at::tensor({1.0, 0.1, 0.01, 0.001}), 1e-6));
    const double theta = 10000 * std::pow(2.0 * 32 / 16 - 1, 8.0 / 6);
    const at::Tensor beyond = rotary_frequencies(spec, 8, 32).inverse;
    QVERIFY(std::abs(beyond[1].item<double>() - std::pow(theta, -0.25)) < 1e-7);
}

void ModelComponentsTest::blendsYarnFrequenciesBetweenTheCorrectionBounds()
{
    RotarySpec spec;
    spec.kind = RotaryKind::Yarn;
    spec.factor = 4;
    spec.has_factor = true;
    spec.original_length = 2048;
    spec.max_length = 8192;
    const auto [f, factor] = rotary_frequencies(spec, 128, 1);
    const at::Tensor plain = rotary_frequencies(RotarySpec{}, 128, 1).inverse;
    // c(32) = 128 ln(2048 / (32 · 2π)) / (2 ln 10000) = 16.13 -> 16; c(1) = 40.2 -> 41.
    QVERIFY(close(f.narrow(0, 0, 17), plain.narrow(0, 0, 17)));
    QVERIFY(close(f.narrow(0, 41, 23), plain.narrow(0, 41, 23) / 4));
    const double ramp = (20.0 - 16) / (41 - 16);
    const double p = plain[20].item<double>();
    QVERIFY(std::abs(f[20].item<double>() - (p / 4 * ramp + p * (1 - ramp))) < 1e-8);
    QVERIFY(std::abs(factor - (0.1 * std::log(4.0) + 1)) < 1e-12);
}

void ModelComponentsTest::switchesLongropeFactorsAtTheOriginalLength()
{
    RotarySpec spec;
    spec.kind = RotaryKind::LongRope;
    spec.original_length = 16;
    spec.max_length = 64;
    spec.short_factor = {1, 2};
    spec.long_factor = {4, 8};
    const auto [short_f, factor] = rotary_frequencies(spec, 4, 16);
    QVERIFY(close(short_f, at::tensor({1.0, 0.005})));
    QVERIFY(close(rotary_frequencies(spec, 4, 17).inverse, at::tensor({0.25, 0.00125})));
    QVERIFY(std::abs(factor - std::sqrt(1 + std::log(4.0) / std::log(16.0))) < 1e-12);
}

void ModelComponentsTest::turnsOnlyThePartialDimensions()
{
    RotarySpec spec;
    spec.partial = 0.5;
    const RotaryTable table = build_rotary_table(spec, 8, 3, 5, at::kFloat);
    const at::Tensor x = at::randn({1, 2, 3, 8});
    const at::Tensor y = apply_rotary(x, table);
    QVERIFY(y.narrow(-1, 4, 4).equal(x.narrow(-1, 4, 4)));
    // token 1 is at position 6; pair (0, 2) turns by 6 radians
    const double u = x[0][1][1][0].item<double>(), v = x[0][1][1][2].item<double>();
    QVERIFY(std::abs(y[0][1][1][0].item<double>() - (u * std::cos(6) - v * std::sin(6))) < 1e-5);
    QVERIFY(std::abs(y[0][1][1][2].item<double>() - (v * std::cos(6) + u * std::sin(6))) < 1e-5);
}

void ModelComponentsTest::rotationKeepsLengthsAndDependsOnDistanceOnly()
{
    const at::Tensor q = at::randn({1, 1, 2, 16}), k = at::randn({1, 1, 2, 16});
    const auto scores = [&](int64_t past) {
        const RotaryTable table = build_rotary_table({}, 16, 2, past, at::kFloat);
        return at::matmul(apply_rotary(q, table), apply_rotary(k, table).transpose(2, 3));
    };
    QVERIFY(close(scores(0), scores(7), 1e-4));
    const RotaryTable table = build_rotary_table({}, 16, 2, 3, at::kFloat);
    QVERIFY(close(apply_rotary(q, table).norm(), q.norm(), 1e-5));
}

void ModelComponentsTest::slidingMaskCountsTheTokenItself()
{
    const BlockShared shared(4, 0, at::kFloat);
    const AttentionMask& mask = shared.impl().mask(MaskKind::Sliding, 2);
    QVERIFY(!mask.causal);
    const at::Tensor visible = mask.additive.eq(0).to(at::kInt);
    QVERIFY(visible.equal(
        at::tensor({1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1}, at::kInt).view({4, 4})));
}

void ModelComponentsTest::masksPastTokensAndPadding()
{
    const BlockShared shared(2, 2, at::kFloat, at::tensor({0, 3}, at::kLong));
    const at::Tensor visible = shared.impl().mask(MaskKind::Causal, 0).additive.eq(0).to(at::kInt);
    QVERIFY(visible.equal(
        at::tensor({1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1}, at::kInt).view({2, 1, 2, 4})));
}

void ModelComponentsTest::givesNoMaskWhenNothingIsHidden()
{
    const BlockShared one(1, 5, at::kFloat);
    QVERIFY(!one.impl().mask(MaskKind::Causal, 0).causal);
    QVERIFY(!one.impl().additive_mask(MaskKind::Causal, 0).defined());
    const BlockShared whole(4, 0, at::kFloat);
    QVERIFY(whole.impl().mask(MaskKind::Sliding, 4).causal); // the window covers everything
    QCOMPARE(&whole.impl().mask(MaskKind::Sliding, 9), &whole.impl().mask(MaskKind::Causal, 0));
    QVERIFY_EXCEPTION_THROWN(whole.impl().mask(MaskKind::Chunked, 2), Error);
}

void ModelComponentsTest::attendsInBf16AsInFp32_data()
{
    QTest::addColumn<int>("mask");
    QTest::addColumn<bool>("padded");
    QTest::newRow("causal") << int(MaskKind::Causal) << false;
    QTest::newRow("window") << int(MaskKind::Sliding) << false;
    QTest::newRow("padding") << int(MaskKind::Causal) << true;
}

/// The two take different ways: products of matrices, and LibTorch's fused kernel.
void ModelComponentsTest::attendsInBf16AsInFp32()
{
    QFETCH(int, mask);
    QFETCH(bool, padded);
    const at::Tensor x = at::randn({2, 7, 32}).to(at::kBFloat16);
    const at::Tensor padding = padded ? at::tensor({0, 3}, at::kLong) : at::Tensor();
    const auto kind = static_cast<MaskKind>(mask);
    const auto [narrow, narrow_gradient] = attended(kind, x, padding);
    const auto [wide, wide_gradient] = attended(kind, x.to(at::kFloat), padding);
    QVERIFY(close(narrow, wide, 0.03));
    QVERIFY(close(narrow_gradient, wide_gradient, 0.03 * wide_gradient.abs().max().item<double>()));
}

void ModelComponentsTest::renormalisesTheChosenExpertsWhenAsked()
{
    RouterSpec spec;
    spec.top_k = 2;
    const at::Tensor logits = at::tensor({0.0F, 2.0F, 1.0F, -1.0F}).unsqueeze(0);
    const at::Tensor p = logits.softmax(-1);
    Routing routing = route(spec, logits);
    QVERIFY(routing.experts.equal(at::tensor({1, 2}, at::kLong).unsqueeze(0)));
    QVERIFY(close(routing.weights, p.narrow(1, 1, 2)));
    spec.renormalize = true;
    QVERIFY(close(route(spec, logits).weights.sum(), at::scalar_tensor(1.0)));
    spec.kind = Router::SigmoidGroups;
    QVERIFY_EXCEPTION_THROWN(route(spec, logits), Error);
}

void ModelComponentsTest::takesTheSoftmaxOverTheChosenExperts()
{
    RouterSpec spec;
    spec.kind = Router::TopKSoftmax;
    spec.top_k = 2;
    const at::Tensor logits = at::tensor({0.0F, 2.0F, 1.0F, -1.0F}).unsqueeze(0);
    const double first = 1 / (1 + std::exp(-1.0));
    QVERIFY(close(route(spec, logits).weights, at::tensor({first, 1 - first}).unsqueeze(0)));
}

void ModelComponentsTest::clampsGptOssGates()
{
    const at::Tensor gate = at::tensor({9.0, -9.0, 1.0}), up = at::tensor({9.0, -9.0, 0.5});
    const at::Tensor y = gated_activation(Activation::GptOssClamped, gate, up);
    const auto glu = [](double g) { return g / (1 + std::exp(-1.702 * g)); };
    QVERIFY(close(y, at::tensor({8 * glu(7), -6 * glu(-9), 1.5 * glu(1)})));
}

void ModelComponentsTest::decodesMxfp4Blocks()
{
    at::Tensor blocks = at::zeros({1, 16}, at::kByte);
    blocks[0][0] = 0x71; // low nibble first: 0.5, then 6
    blocks[0][15] = 0xA9; // -0.5, then -1
    const at::Tensor scales = at::tensor({129}, at::kByte); // 2^2
    const at::Tensor values = decode_mxfp4(blocks, scales, at::kFloat);
    QCOMPARE(values.numel(), 32);
    at::Tensor expected = at::zeros({32});
    expected[0] = 2.0;
    expected[1] = 24.0;
    expected[30] = -2.0;
    expected[31] = -4.0;
    QVERIFY(values.equal(expected));
}

void ModelComponentsTest::growsAndFiltersTheCache()
{
    KvCache cache;
    std::vector<at::Tensor> parts;
    for (int i = 0; i < 100; ++i) {
        parts.push_back(at::randn({2, 1, 1 + i % 3, 4}));
        cache.append(parts.back(), parts.back() + 1);
    }
    const at::Tensor all = at::cat(parts, 2);
    QCOMPARE(cache.past(), all.size(2));
    QVERIFY(cache.keys.equal(all) && cache.values.equal(all + 1));
    cache.keep_rows(at::tensor({1}, at::kLong));
    QVERIFY(cache.keys.equal(all.narrow(0, 1, 1)));
    cache.append(parts[0].narrow(0, 1, 1), parts[0].narrow(0, 1, 1));
    QCOMPARE(cache.past(), all.size(2) + 1);
}

BITSMITH_TEST(ModelComponentsTest)
#include "components_test.moc"
