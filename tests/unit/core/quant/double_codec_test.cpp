// SPDX-License-Identifier: GPL-3.0-or-later
// K types: decode(encode(w, t)) == fake_quantize(w, t) bit for bit, weights small enough to check by
// hand, and the closed form of the derivatives.
#include "quant/double_codec.h"
#include "support/difficult_weight.h"
#include "support/expect_error.h"
#include "support/same_bits.h"
#include "support/test_main.h"
#include "values/scheme_presets.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <cmath>
#include <limits>

using namespace bitsmith;
using namespace bitsmith::quant;

namespace {

constexpr const char* kTypes[] = {"q2_k", "q3_k", "q4_k", "q5_k", "q6_k"};

Scheme k_scheme(const char* name)
{
    return find_gguf_preset(name)->scheme;
}

void add_types()
{
    QTest::addColumn<Scheme>("scheme");
    for (const char* name : kTypes) {
        QTest::newRow(name) << k_scheme(name);
    }
}

/// Besides the rows of other codecs: tiny values, one sign only, groups of zeros.
at::Tensor difficult_rows(int64_t columns)
{
    const at::Tensor usual = difficult_weight(columns);
    at::Tensor more = at::randn({3, columns}) * 0.05;
    more[0].mul_(1e-6);
    more[1].abs_().narrow(0, 0, 64).zero_();
    more[2].abs_().add_(1).neg_();
    return at::cat({usual, more});
}

/// Plain rounding, random values, a searched range, and random values over a searched range.
std::vector<TunedValues> all_kinds_of_values(const at::Tensor& w, const Scheme& scheme)
{
    TunedValues searched, both = random_values(w, scheme, 2);
    searched.range = both.range = DoubleCodec().search(w, scheme, {}, {});
    return {{}, random_values(w, scheme, 1), searched, both};
}

/// Of every element in [low, high]?
bool is_within(const at::Tensor& values, int64_t low, int64_t high)
{
    return values.min().item<int64_t>() >= low && values.max().item<int64_t>() <= high;
}

/// d·L or dmin·M [rows, groups, 1] as fp64.
at::Tensor product(const at::Tensor& codes, const at::Tensor& super, const Scheme& scheme)
{
    const at::Tensor d = super.to(at::kDouble).repeat_interleave(scheme.super_group_size, 1);
    return (codes.to(at::kDouble) * d).unsqueeze(-1);
}

/// A weight with derivatives to check, in fp64.
struct Gradients
{
    explicit Gradients(const Scheme& scheme)
        : layout(scheme, 3, 512)
    {
        at::manual_seed(1);
        const at::TensorOptions options = at::kDouble;
        w = at::randn({3, 512}, options);
        g = at::randn({3, 512}, options);
        const std::vector<int64_t> groups = {layout.group_rows, layout.groups};
        tuned.v = (at::randn({3, layout.groups, layout.width}, options) * 0.4).requires_grad_();
        tuned.min_scale = (at::rand(groups, options) * 0.5 + 0.4).requires_grad_();
        tuned.max_scale = (at::rand(groups, options) * 0.5 + 0.4).requires_grad_();
        (DoubleCodec().fake_quantize(w, scheme, tuned) * g).sum().backward();
    }

    GroupLayout layout;
    at::Tensor w, g;
    TunedValues tuned;
};

} // namespace

class DoubleCodecTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decodesToWhatItFakeQuantizes_data() { add_types(); }
    void decodesToWhatItFakeQuantizes();
    void storesThePartsOfItsType_data() { add_types(); }
    void storesThePartsOfItsType();
    void reproducesAsymmetricValuesOfTheGrid();
    void reproducesSymmetricValuesOfTheGrid();
    void makesZerosOfScalesThatVanish();
    void keepsTinyWeights();
    void slicesOfALargeWeightAreTheWhole();
    void searchesRangesOfSmallerError_data() { add_types(); }
    void searchesRangesOfSmallerError();
    void givesTheClosedFormForAsymmetricCodes();
    void givesTheClosedFormForSymmetricCodes();
    void givesFiniteDerivativesForDifficultWeights_data() { add_types(); }
    void givesFiniteDerivativesForDifficultWeights();
    void takesTheFiveTypesOnly();
    void refusesRowsWithoutWholeSuperBlocks();
    void refusesWeightsThatDoNotFit();
};

void DoubleCodecTest::decodesToWhatItFakeQuantizes()
{
    QFETCH(Scheme, scheme);
    const DoubleCodec codec;
    for (const int64_t columns : {256, 768}) {
        const at::Tensor w = difficult_rows(columns);
        for (const TunedValues& tuned : all_kinds_of_values(w, scheme)) {
            const at::Tensor decoded = codec.decode(codec.encode(w, scheme, tuned));
            const at::Tensor fake = codec.fake_quantize(w, scheme, tuned);
            QVERIFY(at::isfinite(fake).all().item<bool>());
            QVERIFY(same_bits(decoded, fake));
            // Symmetric zeros have the sign of their scale, as GGUF readers compute them.
            QVERIFY(scheme.sym || same_bits(fake, fake + 0.0));
        }
    }
}

void DoubleCodecTest::storesThePartsOfItsType()
{
    QFETCH(Scheme, scheme);
    const at::Tensor w = difficult_rows(768);
    for (TunedValues tuned : all_kinds_of_values(w, scheme)) {
        tuned.input_max = at::ones({1});
        const QuantizedWeight codes = DoubleCodec().encode(w, scheme, tuned);
        const int64_t groups = 768 / scheme.group_size, count = int64_t{1} << scheme.super_bits;
        QCOMPARE(codes.codes.scalar_type(), at::kByte);
        QVERIFY(is_within(codes.codes, 0, (int64_t{1} << scheme.bits) - 1));
        QCOMPARE(codes.scales.scalar_type(), at::kChar);
        QVERIFY(codes.scales.sizes() == at::IntArrayRef({12, groups}));
        QVERIFY(is_within(
            codes.scales, scheme.sym ? -count / 2 : 0, scheme.sym ? count / 2 - 1 : count - 1));
        QCOMPARE(codes.super_scales.scalar_type(), at::kHalf);
        QVERIFY(codes.super_scales.sizes() == at::IntArrayRef({12, 3}));
        QVERIFY(at::equal(codes.input_max, tuned.input_max));
        QCOMPARE(codes.zeros.defined(), !scheme.sym);
        QCOMPARE(codes.super_zeros.defined(), !scheme.sym);
        if (!scheme.sym) {
            QCOMPARE(codes.zeros.scalar_type(), at::kByte);
            QVERIFY(codes.zeros.sizes() == codes.scales.sizes());
            QVERIFY(is_within(codes.zeros, 0, count - 1));
            QCOMPARE(codes.super_zeros.scalar_type(), at::kHalf);
            QVERIFY(codes.super_zeros.sizes() == codes.super_scales.sizes());
        }
    }
}

void DoubleCodecTest::reproducesAsymmetricValuesOfTheGrid()
{
    // Each group holds all sixteen codes, and 15·L/64 >= M/16, so that its range ends are known.
    const at::Tensor scales = at::tensor({63, 1, 2, 32, 5, 16, 40, 10}, at::kInt).view({1, 8});
    const at::Tensor minima = at::tensor({63, 3, 0, 50, 7, 60, 12, 37}, at::kInt).view({1, 8});
    const at::Tensor q = at::arange(256).remainder(16).to(at::kInt).view({1, 8, 32});
    const at::Tensor w =
        ((q * scales.unsqueeze(-1)).to(at::kFloat) / 64 - minima.unsqueeze(-1).to(at::kFloat) / 16)
            .view({1, 256});
    const Scheme scheme = k_scheme("q4_k");
    const QuantizedWeight codes = DoubleCodec().encode(w, scheme, {});
    QCOMPARE(codes.super_scales.item<float>(), 1.0F / 64);
    QCOMPARE(codes.super_zeros.item<float>(), 1.0F / 16);
    QVERIFY(at::equal(codes.scales.to(at::kInt), scales));
    QVERIFY(at::equal(codes.zeros.to(at::kInt), minima));
    QVERIFY(at::equal(codes.codes.to(at::kInt), q.view({1, 256})));
    QVERIFY(at::equal(DoubleCodec().decode(codes), w));
}

void DoubleCodecTest::reproducesSymmetricValuesOfTheGrid()
{
    // The element -4 of each group has the largest magnitude, so that the sign of its scale is known.
    const at::Tensor scales =
        at::tensor({-32, 31, 5, -1, 2, -17, 8, -9, 1, 30, -31, 12, -4, 7, -20, 3}, at::kInt)
            .view({1, 16});
    const at::Tensor q = at::arange(256).remainder(8).to(at::kInt).view({1, 16, 16});
    const at::Tensor w = ((q - 4) * scales.unsqueeze(-1)).to(at::kFloat).view({1, 256}) / 8;
    const Scheme scheme = k_scheme("q3_k");
    const QuantizedWeight codes = DoubleCodec().encode(w, scheme, {});
    QCOMPARE(codes.super_scales.item<float>(), 1.0F / 8);
    QVERIFY(at::equal(codes.scales.to(at::kInt), scales));
    QVERIFY(at::equal(codes.codes.to(at::kInt), q.view({1, 256})));
    QVERIFY(at::equal(DoubleCodec().decode(codes), w));

    // Turned around, the largest scale keeps its place at -32 and d takes the sign.
    const QuantizedWeight turned = DoubleCodec().encode(-w, scheme, {});
    QCOMPARE(turned.super_scales.item<float>(), -1.0F / 8);
    QVERIFY(at::equal(turned.scales, codes.scales));
    QVERIFY(at::equal(turned.codes, codes.codes));
}

void DoubleCodecTest::makesZerosOfScalesThatVanish()
{
    for (const char* name : kTypes) {
        const Scheme scheme = k_scheme(name);
        for (const double value : {0.0, -0.0, 1e-12, -1e-39}) {
            const at::Tensor w = at::full({2, 256}, value);
            const at::Tensor zeros = DoubleCodec().decode(DoubleCodec().encode(w, scheme, {}));
            QVERIFY(same_bits(zeros, at::zeros({2, 256})));
        }
    }
}

// formats.md 6.12: a d that is 0 in fp16 makes zeros of a super-block that is none. That of Q6_K is
// the largest weight / 4096.
void DoubleCodecTest::keepsTinyWeights()
{
    for (const char* name : kTypes) {
        const Scheme scheme = k_scheme(name);
        at::manual_seed(5);
        const at::Tensor w = at::randn({2, 256}) * 1e-5;
        const at::Tensor back = DoubleCodec().decode(DoubleCodec().encode(w, scheme, {}));
        const double error = (back - w).square().sum().item<double>();
        QVERIFY2(error < 0.5 * w.square().sum().item<double>(), name);
        QVERIFY2(same_bits(back, DoubleCodec().fake_quantize(w, scheme, {})), name);
    }
}

void DoubleCodecTest::slicesOfALargeWeightAreTheWhole()
{
    const Scheme scheme = k_scheme("q2_k");
    at::manual_seed(4);
    const at::Tensor w = at::randn({5000, 1024});
    const TunedValues tuned = random_values(w, scheme, 1);
    const QuantizedWeight codes = DoubleCodec().encode(w, scheme, tuned);
    QVERIFY(same_bits(DoubleCodec().decode(codes), DoubleCodec().fake_quantize(w, scheme, tuned)));
}

void DoubleCodecTest::searchesRangesOfSmallerError()
{
    QFETCH(Scheme, scheme);
    at::manual_seed(3);
    const at::Tensor w = at::randn({64, 512});
    TunedValues tuned;
    const auto error = [&] {
        return (DoubleCodec().fake_quantize(w, scheme, tuned) - w).square().mean().item<double>();
    };
    const double plain = error();
    tuned.range = DoubleCodec().search(w, scheme, {}, {});
    QVERIFY(tuned.range.min.sizes() == at::IntArrayRef({64, 512 / scheme.group_size}));
    QVERIFY(tuned.range.min.max().item<double>() <= 0);
    QVERIFY2(error() < 0.95 * plain, qPrintable(QString::number(error() / plain)));
}

void DoubleCodecTest::givesTheClosedFormForAsymmetricCodes()
{
    const Scheme scheme = k_scheme("q2_k");
    const Gradients x(scheme);
    const at::NoGradGuard no_grad;
    const QuantizedWeight parts = DoubleCodec().encode(x.w, scheme, x.tuned);
    const at::Tensor scale = product(parts.scales, parts.super_scales, scheme);
    const at::Tensor minimum = product(parts.zeros, parts.super_zeros, scheme);
    QVERIFY(scale.min().item<double>() > 0);
    const at::Tensor steps = (x.layout.split(x.w) + minimum) / scale;
    const at::Tensor rounded = at::round(steps + x.tuned.v);
    const at::Tensor inside = (rounded >= 0).logical_and_(rounded <= 3).to(at::kDouble);
    QVERIFY(inside.min().item<double>() == 0); // some are clamped, or this tests too little
    const at::Tensor g = x.layout.split(x.g);
    QVERIFY(at::allclose(x.tuned.v.grad(), g * scale * inside));
    // s = (max·α + μ) / 3, μ = -min·β; inside, what μ adds to w is what is subtracted again.
    const at::Tensor by_scale = (g * (rounded.clamp(0, 3) - inside * steps)).sum(2);
    const at::Tensor by_minimum = (g * (inside - 1)).sum(2);
    const GroupRange range = group_range(x.layout.split(x.w));
    QVERIFY(at::allclose(x.tuned.max_scale.grad(), range.max / 3 * by_scale));
    QVERIFY(at::allclose(x.tuned.min_scale.grad(), -range.min * (by_minimum + by_scale / 3)));
}

void DoubleCodecTest::givesTheClosedFormForSymmetricCodes()
{
    const Scheme scheme = k_scheme("q3_k");
    const Gradients x(scheme);
    const at::NoGradGuard no_grad;
    const QuantizedWeight parts = DoubleCodec().encode(x.w, scheme, x.tuned);
    const at::Tensor scale = product(parts.scales, parts.super_scales, scheme);
    QVERIFY(scale.abs().min().item<double>() > 0);
    const at::Tensor steps = x.layout.split(x.w) / scale;
    const at::Tensor rounded = at::round(steps + x.tuned.v);
    const at::Tensor inside = (rounded >= -4).logical_and_(rounded <= 3).to(at::kDouble);
    QVERIFY(inside.min().item<double>() == 0);
    const at::Tensor g = x.layout.split(x.g);
    QVERIFY(at::allclose(x.tuned.v.grad(), g * scale * inside));
    const at::Tensor by_scale = (g * (rounded.clamp(-4, 3) - inside * steps)).sum(2);
    const GroupRange range = group_range(x.layout.split(x.w));
    const at::Tensor below = -(range.min * x.tuned.min_scale);
    const at::Tensor above = range.max * x.tuned.max_scale;
    const at::Tensor none = at::zeros_like(by_scale);
    QVERIFY(at::allclose(
        x.tuned.max_scale.grad(), at::where(above > below, by_scale * -range.max / 4, none)));
    QVERIFY(at::allclose(
        x.tuned.min_scale.grad(), at::where(above < below, by_scale * -range.min / 4, none)));
}

void DoubleCodecTest::givesFiniteDerivativesForDifficultWeights()
{
    QFETCH(Scheme, scheme);
    const at::Tensor w = difficult_rows(256);
    for (TunedValues tuned : all_kinds_of_values(w, scheme)) {
        if (!tuned.v.defined()) {
            continue;
        }
        for (at::Tensor* values : {&tuned.v, &tuned.min_scale, &tuned.max_scale}) {
            values->requires_grad_();
        }
        DoubleCodec().fake_quantize(w, scheme, tuned).square().sum().backward();
        for (const at::Tensor* values : {&tuned.v, &tuned.min_scale, &tuned.max_scale}) {
            QVERIFY(at::isfinite(values->grad()).all().item<bool>());
        }
    }
}

void DoubleCodecTest::takesTheFiveTypesOnly()
{
    for (const char* name : kTypes) {
        const Scheme scheme = k_scheme(name);
        QCOMPARE(DoubleCodec().refusal(scheme), std::string());
        for (int64_t Scheme::*field : {&Scheme::bits, &Scheme::group_size, &Scheme::group_rows,
                 &Scheme::super_bits, &Scheme::super_group_size}) {
            Scheme other = scheme;
            other.*field += 7;
            QVERIFY(!DoubleCodec().refusal(other).empty());
        }
        Scheme other = scheme;
        other.sym = !other.sym;
        QVERIFY(!DoubleCodec().refusal(other).empty());
        other = scheme;
        other.data_type = DataType::Int;
        QVERIFY(!DoubleCodec().refusal(other).empty());
        other = scheme;
        other.gguf_type.clear(); // decides bytes, not arithmetic
        QVERIFY(DoubleCodec().refusal(other).empty());
    }
}

void DoubleCodecTest::refusesRowsWithoutWholeSuperBlocks()
{
    const DoubleCodec codec;
    for (const char* name : kTypes) {
        const Scheme scheme = k_scheme(name);
        for (const int64_t columns : {8, 128, 288, 300}) {
            const at::Tensor w = at::ones({2, columns});
            const std::vector<std::string> words = {std::to_string(columns), "256"};
            EXPECT_ERROR(ShapeMismatch, words, codec.encode(w, scheme, {}));
            EXPECT_ERROR(ShapeMismatch, words, codec.fake_quantize(w, scheme, {}));
        }
    }
}

void DoubleCodecTest::refusesWeightsThatDoNotFit()
{
    const DoubleCodec codec;
    for (const char* name : kTypes) {
        const Scheme scheme = k_scheme(name);
        for (const double value : {1e9, -1e9}) {
            const at::Tensor w = at::full({2, 256}, value);
            EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"1e+09"}), codec.encode(w, scheme, {}));
        }
        at::Tensor w = at::ones({2, 256});
        w[1][7] = std::numeric_limits<float>::quiet_NaN();
        EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"1 of 512"}), codec.encode(w, scheme, {}));
    }
}

BITSMITH_TEST(DoubleCodecTest)
#include "double_codec_test.moc"
