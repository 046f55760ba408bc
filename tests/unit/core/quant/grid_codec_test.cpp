// SPDX-License-Identifier: GPL-3.0-or-later
// Scaled floating point formats: decode(encode(w, t)) == fake_quantize(w, t) bit for bit over every
// preset, the published numbers of each grid, and examples small enough to check by hand.
#include "quant/activations.h"
#include "quant/cache_numbers.h"
#include "quant/codec.h"
#include "quant/element_grid.h"
#include "quant/powers.h"
#include "support/difficult_weight.h"
#include "support/same_bits.h"
#include "support/test_main.h"

#include <bitsmith/catalog.h>
#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <QtTest>

#include <cmath>

using namespace bitsmith;
using namespace bitsmith::quant;

namespace {

/// The nearest number of a table of all numbers, ties to the even code: the plain definition.
float nearest(const at::Tensor& table, double x)
{
    const auto numbers = table.accessor<float, 1>();
    const int64_t half = table.size(0) / 2;
    int64_t best = 0;
    for (int64_t code = 0; code < half; ++code) {
        if (code > 0 && numbers[code] == numbers[code - 1]) {
            break; // codes behind the largest number
        }
        const double distance = std::abs(std::abs(x) - numbers[code]);
        const double shortest = std::abs(std::abs(x) - numbers[best]);
        if (distance < shortest || (distance == shortest && code % 2 == 0)) {
            best = code;
        }
    }
    return x < 0 ? -numbers[best] : numbers[best];
}

} // namespace

class GridCodecTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void gridsHoldTheirPublishedNumbers();
    void roundsToTheNearestNumber_data();
    void roundsToTheNearestNumber();
    void anyShiftGivesANumberOfTheGrid();
    void powersAreExact();
    void decodesToWhatItFakeQuantizes_data();
    void decodesToWhatItFakeQuantizes();
    void followsThePublishedExamples();
    void givesTheBytesOfTorch_data();
    void givesTheBytesOfTorch();
    void roundsACacheByItsLargestNumber();
    void sharesATensorScale();
    void tilesShareAScale();
    void searchNeverWorsensTheError_data();
    void searchNeverWorsensTheError();
    void gradientsPointWhereTheyShould();
    void roundsActivationsPerToken();
    void roundsActivationsByACalibratedMaximum();
    void refusesWhatHasNoArithmetic();
};

void GridCodecTest::gridsHoldTheirPublishedNumbers()
{
    QVERIFY(at::equal(kE2M1.table().narrow(0, 0, 8),
        at::tensor({0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F})));
    QCOMPARE(kE2M3.table()[31].item<float>(), 7.5F);
    QCOMPARE(kE4M3.table()[0x76].item<float>(), 224.0F);
    QCOMPARE(kE4M3.table()[0x40].item<float>(), 2.0F);
    QCOMPARE(kE4M3.table()[0x7E].item<float>(), 448.0F);
    QCOMPARE(kE4M3.table()[1].item<float>(), std::ldexp(1.0F, -9));
    QCOMPARE(kE5M2.table()[0x7B].item<float>(), 57344.0F);
    QCOMPARE(kE5M2.table()[0x3C].item<float>(), 1.0F);
    QCOMPARE(kE5M2.table()[1].item<float>(), std::ldexp(1.0F, -16));
    QCOMPARE(kUE5M3.table()[254].item<float>(), 114688.0F);
    QCOMPARE(kUE5M3.table()[1].item<float>(), std::ldexp(1.0F, -17));
    QCOMPARE(kFixed4.table()[7].item<float>(), 1.75F);
    QCOMPARE(kFixed8.table()[127].item<float>(), 127.0F / 64.0F);
}

void GridCodecTest::roundsToTheNearestNumber_data()
{
    QTest::addColumn<int>("index");
    const char* names[] = {"E2M1", "E2M3", "E4M3", "fixed 4", "fixed 8", "E5M2"};
    for (int i = 0; i < 6; ++i) {
        QTest::newRow(names[i]) << i;
    }
}

void GridCodecTest::roundsToTheNearestNumber()
{
    QFETCH(int, index);
    const ElementGrid grid =
        (std::array{kE2M1, kE2M3, kE4M3, kFixed4, kFixed8, kE5M2})[size_t(index)];
    const at::Tensor table = grid.table();
    // All numbers, all midpoints between them, and values around both.
    const at::Tensor sorted = std::get<0>(table.narrow(0, 0, table.size(0) / 2).sort());
    const at::Tensor middles =
        (sorted.narrow(0, 1, sorted.size(0) - 1) + sorted.narrow(0, 0, sorted.size(0) - 1)) / 2;
    at::Tensor x = at::cat(
        {sorted, middles, middles * 1.001, middles * 0.999, at::tensor({1e-20F, 1e9F, 0.0F})});
    x = at::cat({x, -x});
    const at::Tensor rounded = grid.round(x, {}, false);
    for (int64_t i = 0; i < x.numel(); ++i) {
        QCOMPARE(rounded[i].item<float>(), nearest(table, x[i].item<double>()));
    }
    QVERIFY(same_bits(grid.values(grid.codes(rounded)), rounded));
}

void GridCodecTest::anyShiftGivesANumberOfTheGrid()
{
    at::manual_seed(3);
    for (const ElementGrid& grid : {kE2M1, kE4M3, kFixed4}) {
        const at::Tensor x = at::randn({2000}) * grid.max / 2, v = at::randn({2000}) * 0.7;
        for (const bool in_scales : {false, true}) {
            const at::Tensor rounded = grid.round(x, v, in_scales);
            QVERIFY(same_bits(grid.values(grid.codes(rounded)), rounded));
        }
        // Half a distance up or down reaches one of the two neighbours.
        const at::Tensor up = grid.round(x, at::full_like(x, 0.499), false);
        const at::Tensor down = grid.round(x, at::full_like(x, -0.499), false);
        const double widest =
            std::ldexp(1.0, static_cast<int>(grid.max_exponent() - grid.mantissa_bits));
        const at::Tensor inside = x.clamp(-grid.max, grid.max);
        QVERIFY((up >= inside - 0.002 * widest).all().item<bool>());
        QVERIFY((down <= inside + 0.002 * widest).all().item<bool>());
    }
}

void GridCodecTest::powersAreExact()
{
    for (int e = -126; e <= 127; ++e) {
        const float power = std::ldexp(1.0F, e);
        const at::Tensor values =
            at::tensor({power, std::nextafter(power, 3e38F), std::nextafter(power, 0.0F)});
        const at::Tensor found = exponents(values);
        QCOMPARE(found[0].item<int>(), e);
        QCOMPARE(found[1].item<int>(), e);
        QCOMPARE(found[2].item<int>(), e - 1);
        QCOMPARE(power_of_two(at::tensor({e}, at::kInt), at::kFloat).item<float>(), power);
    }
}

void GridCodecTest::decodesToWhatItFakeQuantizes_data()
{
    QTest::addColumn<QString>("scheme");
    QTest::addColumn<int>("columns");
    for (const SchemeInfo& info : scheme_catalog()) {
        if (!info.scheme.is_quantized() || info.scheme.data_type == DataType::IntDouble) {
            continue; // K types have widths of their own: double_codec_test
        }
        for (const int columns : {256, 200, 40}) {
            QTest::addRow("%s, %d columns", info.name.c_str(), columns)
                << QString::fromStdString(info.name) << columns;
        }
    }
    QTest::newRow("MXINT8") << "bits=8,group_size=32,data_type=mx_int" << 72;
    QTest::newRow("MXFP6 rounded up") << "bits=6,group_size=32,data_type=mx_fp_rceil" << 72;
    QTest::newRow("FP8 in groups") << "bits=8,group_size=64,data_type=fp8" << 200;
    QTest::newRow("E5M2 per row") << "bits=8,group_size=-1,data_type=fp8_e5m2" << 72;
    QTest::newRow("E5M2 in groups") << "bits=8,group_size=64,data_type=fp8_e5m2" << 200;
    QTest::newRow("FP8 in tall tiles") << "bits=8,group_size=64,group_rows=4,data_type=fp8" << 200;
}

void GridCodecTest::decodesToWhatItFakeQuantizes()
{
    QFETCH(QString, scheme);
    QFETCH(int, columns);
    const Scheme format = parse_scheme(scheme.toStdString());
    const at::Tensor w = difficult_weight(columns);
    const Codec& codec = codec_for(format);
    TunedValues searched = random_values(w, format);
    searched.range = codec.search(w, format, {}, {});
    for (const TunedValues& tuned : {TunedValues{}, random_values(w, format), searched}) {
        const QuantizedWeight codes = codec.encode(w, format, tuned);
        const at::Tensor fake = codec.fake_quantize(w, format, tuned);
        QVERIFY(at::isfinite(fake).all().item<bool>());
        QVERIFY(same_bits(codec.decode(codes), fake));
        QVERIFY(codes.codes.max().item<int64_t>() < (int64_t{1} << format.bits));
    }
}

void GridCodecTest::followsThePublishedExamples()
{
    // formats.md 1.5: NVFP4, largest of the tensor 3, of the group 1.5.
    at::Tensor w = at::zeros({1, 32});
    w[0][0] = 1.5F;
    w[0][1] = 0.75F;
    w[0][16] = -3.0F;
    const Scheme nv = parse_scheme("NVFP4");
    const QuantizedWeight codes = codec_for(nv).encode(w, nv, {});
    QCOMPARE(codes.super_scales.item<float>(), 896.0F);
    QCOMPARE(codes.scales[0][0].item<int>(), 0x76);
    QCOMPARE(codes.codes[0][0].item<int>(), 7);
    QCOMPARE(codes.codes[0][1].item<int>(), 5);
    QCOMPARE(codes.codes[0][16].item<int>(), 15);
    QVERIFY(at::equal(codec_for(nv).decode(codes), w));
    // Appendix C: an FP4 group whose largest is 5 has E = 0; rounded up, the scale is 1 too.
    at::Tensor x = at::zeros({1, 32});
    x[0][3] = 5.0F;
    x[0][4] = -0.6F;
    const Scheme mx = parse_scheme("MXFP4A16");
    const QuantizedWeight small = codec_for(mx).encode(x, mx, {});
    QCOMPARE(small.scales.item<int>(), 0x7F);
    QCOMPARE(small.codes[0][3].item<int>(), 6); // 5 lies between 4 and 6 and 4 is even
    QCOMPARE(small.codes[0][4].item<int>(), 9);
    // The exponent is rounded down, 7 is clipped to 6; rounded up, it is not.
    x[0][3] = 7.0F;
    QCOMPARE(codec_for(mx).decode(codec_for(mx).encode(x, mx, {}))[0][3].item<float>(), 6.0F);
    Scheme up = mx;
    up.data_type = DataType::MxFpRceil;
    QCOMPARE(codec_for(up).decode(codec_for(up).encode(x, up, {}))[0][3].item<float>(), 8.0F);
    // A group of zeros has zeros and a legal exponent.
    const QuantizedWeight nothing = codec_for(mx).encode(at::zeros({1, 32}), mx, {});
    QCOMPARE(nothing.codes.max().item<int>(), 0);
    QVERIFY(nothing.scales.item<int>() < 255);
    // FP8 per row: the largest gets the largest code.
    const Scheme fp8 = parse_scheme("FP8_DYNAMIC");
    const QuantizedWeight row = codec_for(fp8).encode(x, fp8, {});
    QCOMPARE(row.codes[0][3].item<int>(), 0x7E);
    QCOMPARE(row.scales.item<float>(), 7.0F / 448.0F);
}

void GridCodecTest::givesTheBytesOfTorch_data()
{
    QTest::addColumn<QString>("scheme");
    QTest::addColumn<int>("type");
    QTest::addColumn<double>("max");
    QTest::newRow("E4M3") << "FP8_DYNAMIC" << int(at::kFloat8_e4m3fn) << 448.0;
    QTest::newRow("E5M2") << "bits=8,group_size=-1,data_type=fp8_e5m2" << int(at::kFloat8_e5m2)
                          << 57344.0;
}

void GridCodecTest::givesTheBytesOfTorch()
{
    QFETCH(QString, scheme);
    QFETCH(int, type);
    QFETCH(double, max);
    const Scheme format = parse_scheme(scheme.toStdString());
    at::manual_seed(7);
    // Magnitudes from far below the smallest number up to the largest.
    const at::Tensor w = at::randn({16, 200}) * at::pow(10, at::rand({16, 200}) * -9);
    const QuantizedWeight codes = codec_for(format).encode(w, format, {});
    const at::Tensor scales = std::get<0>(w.abs().max(1, true)) / max;
    QVERIFY(at::equal(codes.scales, scales));
    const at::Tensor numbers = (w / scales).to(static_cast<at::ScalarType>(type));
    QVERIFY(at::equal(codec_for(format).decode(codes), numbers.to(at::kFloat) * scales));
    // Torch keeps the sign of a zero.
    const at::Tensor is_zero = numbers.to(at::kFloat) == 0;
    QVERIFY(at::equal(codes.codes, numbers.view(at::kByte).masked_fill(is_zero, 0)));
}

void GridCodecTest::roundsACacheByItsLargestNumber()
{
    QCOMPARE(cache_scale(at::tensor({224.0F})).item<float>(), 0.5F);
    QCOMPARE(cache_scale(at::tensor({0.0F})).item<float>(), 1.0F / (448.0F * 512.0F));
    at::manual_seed(8);
    const at::Tensor keys = at::randn({2, 3, 5, 8}).transpose(1, 2); // heads as a view
    const at::Tensor largest = keys.abs().max().reshape({1}) * 0.5; // what is larger is clipped
    const at::Tensor scale = cache_scale(largest);
    const at::Tensor expected =
        (keys / scale).clamp(-448, 448).to(at::kFloat8_e4m3fn).to(at::kFloat) * scale;
    QVERIFY(at::equal(fake_quantize_cache(keys, largest), expected));
    const at::Tensor leaf = keys.clone().requires_grad_();
    fake_quantize_cache(leaf, largest).sum().backward();
    QVERIFY(at::equal(leaf.grad(), at::ones_like(leaf)));
}

void GridCodecTest::sharesATensorScale()
{
    const Scheme nv = parse_scheme("NVFP4A16");
    at::manual_seed(1);
    const at::Tensor w = at::randn({4, 64});
    TunedValues tuned;
    tuned.tensor_max = at::tensor({10.0F});
    const QuantizedWeight codes = codec_for(nv).encode(w, nv, tuned);
    QCOMPARE(codes.super_scales.item<float>(), 268.8F);
    QVERIFY(same_bits(codec_for(nv).decode(codes), codec_for(nv).fake_quantize(w, nv, tuned)));
}

void GridCodecTest::tilesShareAScale()
{
    const Scheme scheme = parse_scheme("bits=8,group_size=64,group_rows=4,data_type=fp8");
    at::Tensor w = at::full({6, 100}, 0.5F);
    w[5][99] = 4.0F;
    const QuantizedWeight codes = codec_for(scheme).encode(w, scheme, {});
    QVERIFY(codes.scales.sizes() == at::IntArrayRef({2, 2}));
    QVERIFY(at::equal(codes.scales * 448.0, at::tensor({0.5F, 0.5F, 0.5F, 4.0F}).reshape({2, 2})));
    const GroupLayout layout(scheme, 6, 100);
    QVERIFY(at::equal(layout.join(layout.split(w)), w));
}

void GridCodecTest::searchNeverWorsensTheError_data()
{
    QTest::addColumn<QString>("scheme");
    QTest::addColumn<double>("largest_ratio"); // of the errors, on Gaussian weights
    QTest::newRow("MXFP4") << "MXFP4" << 0.99;
    QTest::newRow("MXINT4") << "MXINT4" << 0.99;
    QTest::newRow("NVFP4") << "NVFP4" << 0.93;
    QTest::newRow("NVFP4_E5M3") << "NVFP4_E5M3" << 0.93;
}

void GridCodecTest::searchNeverWorsensTheError()
{
    QFETCH(QString, scheme);
    QFETCH(double, largest_ratio);
    const Scheme format = parse_scheme(scheme.toStdString());
    at::manual_seed(2);
    const at::Tensor w = at::randn({64, 256}), h = at::rand({256}) + 0.1;
    const Codec& codec = codec_for(format);
    TunedValues tuned;
    tuned.range = codec.search(w, format, h, {});
    const GroupLayout layout(format, 64, 256);
    const auto errors = [&](const TunedValues& values) {
        const at::Tensor error = (codec.fake_quantize(w, format, values) - w).square() * h;
        return layout.split(error).sum(-1);
    };
    const at::Tensor plain = errors({}), found = errors(tuned);
    QVERIFY((found <= plain * (1 + 1e-5)).all().item<bool>());
    const double ratio = found.sum().item<double>() / plain.sum().item<double>();
    QVERIFY2(ratio < largest_ratio, qPrintable(QString::number(ratio)));
}

void GridCodecTest::gradientsPointWhereTheyShould()
{
    at::manual_seed(4);
    const at::Tensor w = at::randn({8, 64}, at::kDouble), g = at::randn({8, 64}, at::kDouble);
    for (const char* name : {"NVFP4A16", "MXFP4A16", "MXINT4", "FP8_DYNAMIC"}) {
        const Scheme scheme = parse_scheme(name);
        const GroupLayout layout(scheme, 8, 64);
        TunedValues tuned;
        tuned.v = (at::randn({8, layout.groups, layout.width}, at::kDouble) * 0.2).requires_grad_();
        tuned.max_scale = (at::rand({8, layout.groups}, at::kDouble) * 0.2 + 0.7).requires_grad_();
        codec_for(scheme).fake_quantize(w, scheme, tuned).backward(g);
        // More V means a larger value wherever nothing is clamped.
        const at::Tensor moved = tuned.v.grad() != 0;
        QVERIFY(moved.to(at::kDouble).mean().item<double>() > 0.7);
        QVERIFY(at::equal(tuned.v.grad().sign(), layout.split(g).sign() * moved));
        QVERIFY(at::isfinite(tuned.max_scale.grad()).all().item<bool>());
        QVERIFY(tuned.max_scale.grad().abs().sum().item<double>() > 0);
    }
}

void GridCodecTest::roundsActivationsPerToken()
{
    at::manual_seed(5);
    const at::Tensor x = at::randn({2, 3, 64});
    for (const char* name : {"W8A8", "MXFP8", "FP8_DYNAMIC", "FP8_BLOCK", "NVFP4", "W4A8G32"}) {
        const Scheme scheme = parse_scheme(name);
        const at::Tensor rounded = fake_quantize_activations(x, scheme, {});
        QVERIFY(rounded.sizes() == x.sizes() && !at::equal(rounded, x));
        const double error = ((rounded - x).square().mean() / x.square().mean()).item<double>();
        QVERIFY2(error < (scheme.act_bits == 4 ? 0.02 : 0.002), name);
        // A token that is scaled is rounded alike: scales are its own. (Not with one per tensor.)
        if (scheme.act_data_type != DataType::NvFp) {
            at::Tensor other = x.clone();
            other[0][0] *= 1024;
            const at::Tensor found = fake_quantize_activations(other, scheme, {});
            QVERIFY(at::equal(found[1], rounded[1]));
        }
    }
    const at::Tensor leaf = x.clone().requires_grad_();
    fake_quantize_activations(leaf, parse_scheme("W8A8"), {}).sum().backward();
    QVERIFY(at::equal(leaf.grad(), at::ones_like(x)));
}

void GridCodecTest::roundsActivationsByACalibratedMaximum()
{
    const Scheme scheme = parse_scheme("FP8_STATIC");
    QVERIFY(scheme.needs_input_max());
    const at::Tensor x = at::tensor({448.0F, 100.0F, 1000.0F, -3.0F}).reshape({1, 4});
    // Scale 1: rounded to E4M3, what lies beyond is clipped.
    const at::Tensor rounded = fake_quantize_activations(x, scheme, at::tensor({448.0F}));
    QVERIFY(at::equal(rounded, at::tensor({448.0F, 96.0F, 448.0F, -3.0F}).reshape({1, 4})));
}

void GridCodecTest::refusesWhatHasNoArithmetic()
{
    for (const char* text : {"bits=5,group_size=32,data_type=mx_fp",
             "bits=6,group_size=32,data_type=mx_int", "bits=4,group_size=32,data_type=nv_fp",
             "bits=4,group_size=16,data_type=fp8", "bits=4,group_size=-1,data_type=mx_fp",
             "bits=8,group_size=-1,group_rows=2,data_type=fp8",
             "bits=4,act_bits=8,act_data_type=float",
             "bits=4,act_bits=8,act_data_type=int,act_dynamic=false",
             "bits=4,group_size=32,group_rows=32"}) {
        QVERIFY2(!scheme_refusal(parse_scheme(text)).empty(), text);
    }
    for (const SchemeInfo& info : scheme_catalog()) {
        if (info.scheme.is_quantized()) {
            QVERIFY2(scheme_refusal(info.scheme).empty(), info.name.c_str());
        }
    }
}

BITSMITH_TEST(GridCodecTest)
#include "grid_codec_test.moc"
