// SPDX-License-Identifier: GPL-3.0-or-later
// decode(encode(w, t)) == fake_quantize(w, t) bit for bit, and the published formulas on groups
// small enough to check by hand.
#include "quant/affine.h"
#include "quant/codec.h"
#include "support/difficult_weight.h"
#include "support/same_bits.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <QtTest>

#include <cmath>
#include <limits>

using namespace bitsmith;
using namespace bitsmith::quant;

Q_DECLARE_METATYPE(bitsmith::Scheme)

namespace {

Scheme int_scheme(int64_t bits, int64_t group_size, bool sym)
{
    Scheme scheme;
    scheme.bits = bits;
    scheme.group_size = group_size;
    scheme.sym = sym;
    return scheme;
}

Scheme float_zero_scheme(int64_t bits)
{
    Scheme scheme = int_scheme(bits, 32, false);
    scheme.data_type = DataType::IntFloatZero;
    return scheme;
}

template <class Function>
QString error_of(const Function& function)
{
    try {
        function();
    } catch (const Error& error) {
        return QString::fromStdString(std::string(to_string(error.code())) + ": " + error.what());
    }
    return {};
}

} // namespace

class IntCodecTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decodesToWhatItFakeQuantizes_data();
    void decodesToWhatItFakeQuantizes();
    void usesTheWholeRangeWithASignedScale();
    void keepsTheZeroPointInRange();
    void storesShapesPerRow_data();
    void storesShapesPerRow();
    void matchesTheSymmetricFormulaElementByElement();
    void matchesGgufArithmetic();
    void slicesOfALargeWeightAreTheWhole();
    void refusesWeightsThatAreNotFinite();
    void refusesWeightsBeyondHalfPrecision();
    void refusesSchemesWithoutArithmetic();
};

void IntCodecTest::decodesToWhatItFakeQuantizes_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::addColumn<int>("columns");
    for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
        for (const bool sym : {true, false}) {
            for (const int group : {32, 64, 128, 48, -1, 0}) {
                for (const int columns : {128, 200, 31}) {
                    QTest::addRow("%d bits, %s, group %d, %d columns", bits,
                        sym ? "symmetric" : "asymmetric", group, columns)
                        << int_scheme(bits, group, sym) << columns;
                }
            }
        }
    }
    for (const int bits : {4, 5}) {
        for (const int columns : {128, 70}) {
            QTest::addRow("%d bits with minimum, %d columns", bits, columns)
                << float_zero_scheme(bits) << columns;
        }
    }
}

void IntCodecTest::decodesToWhatItFakeQuantizes()
{
    QFETCH(Scheme, scheme);
    QFETCH(int, columns);
    const at::Tensor w = difficult_weight(columns);
    const Codec& codec = codec_for(scheme);
    for (const TunedValues& tuned : {TunedValues{}, random_values(w, scheme)}) {
        const QuantizedWeight codes = codec.encode(w, scheme, tuned);
        const at::Tensor decoded = codec.decode(codes),
                         fake = codec.fake_quantize(w, scheme, tuned);
        QVERIFY(at::isfinite(fake).all().item<bool>());
        QVERIFY(same_bits(decoded, fake));
        QCOMPARE(codes.codes.scalar_type(), at::kByte);
        QVERIFY(codes.codes.max().item<int64_t>() < (int64_t{1} << scheme.bits));
        QCOMPARE(codes.scales.scalar_type(), at::kHalf);
        QVERIFY(codes.scales.to(at::kFloat).abs().min().item<double>() >= kScaleThreshold);
    }
}

void IntCodecTest::usesTheWholeRangeWithASignedScale()
{
    const Scheme scheme = int_scheme(4, 4, true);
    const at::Tensor w =
        at::tensor({-8.0F, 1.0F, 2.0F, 7.0F, -7.0F, 1.0F, 2.0F, 8.0F}).reshape({1, 8});
    const QuantizedWeight codes = codec_for(scheme).encode(w, scheme, {});
    // The largest magnitude gets code 0 (-8); when it is positive the scale is negative.
    QVERIFY(at::equal(codes.scales.to(at::kFloat), at::tensor({1.0F, -1.0F}).reshape({1, 2})));
    QVERIFY(at::equal(
        codes.codes.to(at::kInt), at::tensor({0, 9, 10, 15, 15, 7, 6, 0}).reshape({1, 8})));
    QVERIFY(at::equal(codes.zeros.to(at::kInt), at::tensor({8, 8}).reshape({1, 2})));
    QVERIFY(at::equal(codec_for(scheme).decode(codes), w));
}

void IntCodecTest::keepsTheZeroPointInRange()
{
    // Scales this small are coarse in fp16: rounded down, -low / scale exceeds the last code.
    const Scheme scheme = int_scheme(8, -1, false);
    for (int i = 0; i < 400; ++i) {
        const at::Tensor w = at::full({1, 8}, -255.0 * (170.0 + i * 0.01) / 16777216.0);
        const QuantizedWeight codes = codec_for(scheme).encode(w, scheme, {});
        QVERIFY(same_bits(
            codec_for(scheme).decode(codes), codec_for(scheme).fake_quantize(w, scheme, {})));
        QVERIFY(codec_for(scheme).decode(codes).max().item<double>() < 0);
    }
}

void IntCodecTest::storesShapesPerRow_data()
{
    QTest::addColumn<int>("group");
    QTest::addColumn<int>("groups");
    QTest::newRow("divides") << 32 << 4;
    QTest::newRow("short last group") << 48 << 3;
    QTest::newRow("wider than the row") << 256 << 1;
    QTest::newRow("per row") << -1 << 1;
    QTest::newRow("per tensor") << 0 << 1;
}

void IntCodecTest::storesShapesPerRow()
{
    QFETCH(int, group);
    QFETCH(int, groups);
    const Scheme scheme = int_scheme(4, group, false);
    const QuantizedWeight codes = codec_for(scheme).encode(difficult_weight(128), scheme, {});
    QCOMPARE(group_count(scheme, 128), int64_t{groups});
    QVERIFY(codes.codes.sizes() == at::IntArrayRef({9, 128}));
    QVERIFY(codes.scales.sizes() == at::IntArrayRef({9, groups}));
    QVERIFY(codes.zeros.sizes() == at::IntArrayRef({9, groups}));
}

void IntCodecTest::matchesTheSymmetricFormulaElementByElement()
{
    const Scheme scheme = int_scheme(3, 16, true);
    at::manual_seed(9);
    const at::Tensor w = at::randn({4, 32});
    const TunedValues tuned = random_values(w, scheme);
    const at::Tensor fake = codec_for(scheme).fake_quantize(w, scheme, tuned);
    for (int64_t row = 0; row < 4; ++row) {
        for (int64_t group = 0; group < 2; ++group) {
            float low = 0, high = 0;
            for (int64_t j = 0; j < 16; ++j) {
                low = std::min(low, w[row][group * 16 + j].item<float>());
                high = std::max(high, w[row][group * 16 + j].item<float>());
            }
            const auto factor = [&](const at::Tensor& all) {
                return std::clamp(all[row][group].item<float>(), 0.0F, 1.0F);
            };
            const float below = -(low * factor(tuned.min_scale));
            const float above = high * factor(tuned.max_scale);
            const float largest = above < below ? below : -std::max(below, above);
            float scale = static_cast<float>(c10::Half(largest / 4));
            const float threshold = 1e-5F;
            if (std::abs(scale) < threshold) {
                scale = std::copysign(static_cast<float>(c10::Half(threshold)), scale);
            }
            for (int64_t j = 0; j < 16; ++j) {
                const float step = w[row][group * 16 + j].item<float>() / scale
                    + tuned.v[row][group][j].item<float>();
                const float code = std::clamp(std::nearbyint(step), -4.0F, 3.0F);
                QCOMPARE(fake[row][group * 16 + j].item<float>(), scale * code);
            }
        }
    }
}

void IntCodecTest::matchesGgufArithmetic()
{
    const Scheme scheme = float_zero_scheme(4);
    at::manual_seed(3);
    const at::Tensor w = at::randn({2, 64});
    const QuantizedWeight codes = codec_for(scheme).encode(w, scheme, {});
    const at::Tensor decoded = codec_for(scheme).decode(codes);
    QCOMPARE(codes.zeros.scalar_type(), at::kHalf);
    for (int64_t row = 0; row < 2; ++row) {
        for (int64_t j = 0; j < 64; ++j) {
            const float d = codes.scales[row][j / 32].item<float>();
            const float m = codes.zeros[row][j / 32].item<float>();
            const float q = static_cast<float>(codes.codes[row][j].item<int64_t>());
            QCOMPARE(decoded[row][j].item<float>(), std::fma(d, q, m));
        }
    }
    QVERIFY((decoded - w).abs().max().item<double>() < 0.3);
}

void IntCodecTest::slicesOfALargeWeightAreTheWhole()
{
    const Scheme scheme = int_scheme(4, 64, true);
    at::manual_seed(4);
    const at::Tensor w = at::randn({5000, 1024});
    const TunedValues tuned = random_values(w, scheme);
    const QuantizedWeight codes = codec_for(scheme).encode(w, scheme, tuned);
    QVERIFY(same_bits(
        codec_for(scheme).decode(codes), codec_for(scheme).fake_quantize(w, scheme, tuned)));
}

void IntCodecTest::refusesWeightsThatAreNotFinite()
{
    at::Tensor w = difficult_weight(64);
    w[0][3] = std::numeric_limits<float>::quiet_NaN();
    w[2][5] = std::numeric_limits<float>::infinity();
    const Scheme scheme = int_scheme(4, 32, true);
    const QString text = error_of([&] { codec_for(scheme).encode(w, scheme, {}); });
    QVERIFY2(text.startsWith("numeric_failure"), qPrintable(text));
    QVERIFY2(text.contains("2 of 576"), qPrintable(text));
}

void IntCodecTest::refusesWeightsBeyondHalfPrecision()
{
    const Scheme scheme = int_scheme(4, 32, true);
    const at::Tensor w = at::full({2, 64}, 1e7);
    QVERIFY(error_of([&] { check_weight(w, scheme, "a.layer"); }).contains("a.layer"));
    QVERIFY(
        error_of([&] { codec_for(scheme).encode(w, scheme, {}); }).startsWith("numeric_failure"));
    const at::Tensor largest = at::full({2, 64}, 65504.0 * 8);
    QVERIFY(error_of([&] { codec_for(scheme).encode(largest, scheme, {}); }).isEmpty());
}

void IntCodecTest::refusesSchemesWithoutArithmetic()
{
    Scheme scheme = int_scheme(1, 32, true);
    QVERIFY(error_of([&] { codec_for(scheme); }).startsWith("unsupported_scheme"));
    scheme = int_scheme(9, 32, true);
    QVERIFY(error_of([&] { codec_for(scheme); }).startsWith("unsupported_scheme"));
    scheme = int_scheme(4, 32, true);
    scheme.act_bits = 8;
    QVERIFY(error_of([&] { codec_for(scheme); }).startsWith("unsupported_scheme"));
    scheme = float_zero_scheme(4);
    scheme.sym = true;
    QVERIFY(error_of([&] { codec_for(scheme); }).startsWith("unsupported_scheme"));
    scheme = int_scheme(4, 32, true);
    scheme.data_type = DataType::Float;
    QVERIFY(error_of([&] { codec_for(scheme); }).contains("float"));
}

BITSMITH_TEST(IntCodecTest)
#include "int_codec_test.moc"
