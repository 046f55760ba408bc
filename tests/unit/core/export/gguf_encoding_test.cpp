// SPDX-License-Identifier: GPL-3.0-or-later
// Codes, plain values and transforms to bytes and back.
#include "export/gguf/blocks.h"
#include "export/gguf/transforms.h"
#include "quant/gguf_blocks.h"
#include "source/gguf_rope.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/scheme_of.h"
#include "support/test_main.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <limits>

using namespace bitsmith;
using namespace bitsmith::exporting;
using tensor::GgufType;

class GgufEncodingTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesTheGoldenBlocks();
    void decodesToTheCodecsValuesBitForBit_data();
    void decodesToTheCodecsValuesBitForBit();
    void refusesSchemesWithoutAnExactType_data();
    void refusesSchemesWithoutAnExactType();
    void roundsTablesToTheNearestCode_data();
    void roundsTablesToTheNearestCode();
    void searchesTheRangesOfTables();
    void refusesTablesThatCannotBeRounded();
    void keepsTinyBlocksFinite_data();
    void keepsTinyBlocksFinite();
    void refusesValuesBeyondHalfPrecision();
    void refusesScalesBeyondHalfPrecision();
    void permutesRotaryRowsLikeTheGoldenOrder();
    void permutingCodesPermutesValues();
    void computesDivisorsThatTheReaderRecognises();
};

namespace {

std::vector<uint8_t> bytes_of(const at::Tensor& tensor)
{
    const auto* begin = tensor.const_data_ptr<uint8_t>();
    return {begin, begin + tensor.numel()};
}

at::Tensor decoded(const at::Tensor& bytes, GgufType type, std::vector<int64_t> shape)
{
    return quant::decode_gguf(tensor::gguf_type(type),
        std::as_bytes(std::span(bytes.const_data_ptr<uint8_t>(), std::size_t(bytes.numel()))),
        shape);
}

} // namespace

// formats.md appendix C.
void GgufEncodingTest::writesTheGoldenBlocks()
{
    quant::QuantizedWeight weight;
    weight.scheme = scheme_of(4, 32);
    weight.codes = at::arange(32).remainder(16).to(at::kByte).view({1, 32});
    weight.scales = at::ones({1, 1}, at::kHalf);
    weight.zeros = at::full({1, 1}, 8, at::kByte);
    std::vector<uint8_t> q4 = {0x00, 0x3C};
    for (int i = 0; i < 16; ++i) {
        q4.push_back(static_cast<uint8_t>(i * 0x11));
    }
    QCOMPARE(bytes_of(encode_gguf_layer(weight, GgufType::Q4_0)), q4);

    weight.scheme = scheme_of(8, 32);
    weight.codes = at::arange(128, 160).to(at::kByte).view({1, 32});
    weight.scales = at::full({1, 1}, 0.5, at::kHalf);
    weight.zeros = at::full({1, 1}, 128, at::kByte);
    std::vector<uint8_t> q8 = {0x00, 0x38};
    for (uint8_t i = 0; i < 32; ++i) {
        q8.push_back(i);
    }
    QCOMPARE(bytes_of(encode_gguf_layer(weight, GgufType::Q8_0)), q8);
}

void GgufEncodingTest::decodesToTheCodecsValuesBitForBit_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::addColumn<GgufType>("type");
    QTest::newRow("Q4_0") << scheme_of(4, 32) << GgufType::Q4_0;
    QTest::newRow("Q4_0, group of 64") << scheme_of(4, 64) << GgufType::Q4_0;
    QTest::newRow("Q4_0, group of 128, last one short") << scheme_of(4, 128) << GgufType::Q4_0;
    QTest::newRow("Q4_0, one group per row") << scheme_of(4, kGroupPerRow) << GgufType::Q4_0;
    QTest::newRow("Q8_0") << scheme_of(8, 32) << GgufType::Q8_0;
    QTest::newRow("Q4_1") << scheme_of(4, 32, false, DataType::IntFloatZero) << GgufType::Q4_1;
    QTest::newRow("Q5_0") << scheme_of(5, 32) << GgufType::Q5_0;
    QTest::newRow("Q5_0, group of 64") << scheme_of(5, 64) << GgufType::Q5_0;
    QTest::newRow("Q5_1") << scheme_of(5, 32, false, DataType::IntFloatZero) << GgufType::Q5_1;
}

void GgufEncodingTest::decodesToTheCodecsValuesBitForBit()
{
    QFETCH(Scheme, scheme);
    QFETCH(GgufType, type);
    at::manual_seed(1);
    const quant::QuantizedWeight weight = test::random_weight(scheme, 24, 160);
    QVERIFY(gguf_type_of(scheme) == type);
    const at::Tensor bytes = encode_gguf_layer(weight, type);
    QVERIFY(at::equal(decoded(bytes, type, {24, 160}), test::expected_values(weight)));
}

void GgufEncodingTest::refusesSchemesWithoutAnExactType_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::newRow("2 bits") << scheme_of(2, 32);
    QTest::newRow("asymmetric") << scheme_of(4, 32, false);
    QTest::newRow("group of 16") << scheme_of(4, 16);
    QTest::newRow("group of 48") << scheme_of(4, 48);
    QTest::newRow("one group per tensor") << scheme_of(4, kGroupPerTensor);
    QTest::newRow("kept") << keep_scheme();
}

void GgufEncodingTest::refusesSchemesWithoutAnExactType()
{
    QFETCH(Scheme, scheme);
    QVERIFY(!gguf_type_of(scheme));
}

void GgufEncodingTest::roundsTablesToTheNearestCode_data()
{
    QTest::addColumn<GgufType>("type");
    QTest::addColumn<double>("steps"); // from zero to the largest magnitude
    QTest::newRow("Q8_0") << GgufType::Q8_0 << 128.0;
    QTest::newRow("Q6_K") << GgufType::Q6_K << 32.0;
    QTest::newRow("Q5_0") << GgufType::Q5_0 << 16.0;
    QTest::newRow("Q4_K") << GgufType::Q4_K << 7.5;
    QTest::newRow("Q3_K") << GgufType::Q3_K << 4.0;
}

void GgufEncodingTest::roundsTablesToTheNearestCode()
{
    QFETCH(GgufType, type);
    QFETCH(double, steps);
    at::manual_seed(2);
    const at::Tensor table = at::randn({6, 256});
    const at::Tensor back = decoded(round_to_gguf(table, type, false), type, {6, 256});
    // The other end of a symmetric range is one step away, and scales of groups are rounded too.
    const double step = table.abs().max().item<double>() / steps;
    QVERIFY((back - table).abs().max().item<double>() < 1.1 * step);
    const at::Tensor zeros = at::zeros({2, 256});
    QVERIFY(at::equal(decoded(round_to_gguf(zeros, type, false), type, {2, 256}), zeros));
}

void GgufEncodingTest::searchesTheRangesOfTables()
{
    at::manual_seed(3);
    const at::Tensor table = at::randn({16, 256});
    const auto error = [&table](bool search) {
        const at::Tensor bytes = round_to_gguf(table, GgufType::Q4_0, search);
        return (decoded(bytes, GgufType::Q4_0, {16, 256}) - table).square().sum().item<double>();
    };
    QVERIFY(error(true) < 0.98 * error(false));
}

// formats.md 6.12: rows of K types that are no multiples of 256 abort loading.
void GgufEncodingTest::refusesTablesThatCannotBeRounded()
{
    at::Tensor table = at::ones({2, 256});
    table[1][7] = std::numeric_limits<float>::infinity();
    EXPECT_ERROR(
        NumericFailure, EXPECT_WORDS({"1 of 512"}), round_to_gguf(table, GgufType::Q6_K, true));
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"96", "256"}),
        round_to_gguf(at::ones({2, 96}), GgufType::Q6_K, false));
}

// formats.md 6.12: scales below the smallest fp16 number, and those that fp16 cannot tell apart.
void GgufEncodingTest::keepsTinyBlocksFinite_data()
{
    QTest::addColumn<GgufType>("type");
    for (const GgufType type :
        {GgufType::Q8_0, GgufType::Q5_0, GgufType::Q4_0, GgufType::Q4_1, GgufType::Q5_1,
            GgufType::Q2_K, GgufType::Q3_K, GgufType::Q4_K, GgufType::Q5_K, GgufType::Q6_K}) {
        QTest::newRow(tensor::gguf_type(type).name.data()) << type;
    }
}

void GgufEncodingTest::keepsTinyBlocksFinite()
{
    QFETCH(GgufType, type);
    for (const double size : {1e-12, 1e-7, 1e-5}) {
        at::manual_seed(4);
        const at::Tensor table = at::randn({2, 256}) * size;
        for (const bool search : {false, true}) {
            const at::Tensor back = decoded(round_to_gguf(table, type, search), type, {2, 256});
            QVERIFY(at::isfinite(back).all().item<bool>());
            // Nothing becomes larger than it was by more than a step of the smallest scale.
            QVERIFY(((back - table).abs() <= 2 * table.abs().max() + 1e-5).all().item<bool>());
        }
    }
}

void GgufEncodingTest::refusesValuesBeyondHalfPrecision()
{
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"16-bit"}),
        encode_gguf_plain(at::full({32}, 1e6), GgufType::F16));
}

// formats.md 6.12: d and m of a block overflow 16 bits.
void GgufEncodingTest::refusesScalesBeyondHalfPrecision()
{
    const Scheme scheme = scheme_of(4, 32, false, DataType::IntFloatZero);
    for (const bool is_scale : {true, false}) {
        quant::QuantizedWeight weight = test::random_weight(scheme, 4, 64);
        (is_scale ? weight.scales : weight.zeros)[3][1] = std::numeric_limits<float>::infinity();
        EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"not finite"}),
            encode_gguf_layer(weight, GgufType::Q4_1));
    }
}

// formats.md 6.6 item 1; 6.12: rows in another order load fine and give fluent nonsense.
void GgufEncodingTest::permutesRotaryRowsLikeTheGoldenOrder()
{
    const at::Tensor order = rotary_row_order(16, 2);
    QVERIFY(at::equal(order.narrow(0, 0, 8), at::tensor({0, 4, 1, 5, 2, 6, 3, 7}, at::kLong)));
    QVERIFY(
        at::equal(order.narrow(0, 8, 8), at::tensor({8, 12, 9, 13, 10, 14, 11, 15}, at::kLong)));
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"10 rows, 4 heads"}), rotary_row_order(10, 4));
}

void GgufEncodingTest::permutingCodesPermutesValues()
{
    const quant::QuantizedWeight weight = test::random_weight(scheme_of(4, 32, false), 16, 64);
    const at::Tensor order = rotary_row_order(16, 2);
    QVERIFY(at::equal(test::expected_values(with_rows(weight, order)),
        test::expected_values(weight).index_select(0, order)));
}

void GgufEncodingTest::computesDivisorsThatTheReaderRecognises()
{
    model::RotarySpec rotary;
    rotary.kind = model::RotaryKind::Llama3;
    rotary.theta = 500000;
    rotary.factor = 32;
    rotary.original_length = 8192;
    const at::Tensor divisors = llama3_divisors(rotary, 64);
    const Json scaling =
        source::llama3_scaling_from(std::span(divisors.const_data_ptr<float>(), 32), 500000);
    QCOMPARE(scaling.value("factor", 0.0), 32.0);
    QCOMPARE(scaling.value("original_max_position_embeddings", 0), 8192);
}

BITSMITH_TEST(GgufEncodingTest)
#include "gguf_encoding_test.moc"
