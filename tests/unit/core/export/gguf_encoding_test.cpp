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
    void roundsTablesToTheNearestCode();
    void refusesValuesBeyondHalfPrecision();
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

void GgufEncodingTest::roundsTablesToTheNearestCode()
{
    at::manual_seed(2);
    const at::Tensor table = at::randn({6, 64});
    const at::Tensor back =
        decoded(encode_gguf_plain(table, GgufType::Q8_0), GgufType::Q8_0, {6, 64});
    const at::Tensor step = table.view({6, 2, 32}).abs().amax(-1).div(127).repeat_interleave(32, 1);
    QVERIFY(((back - table).abs() <= 0.51 * step).all().item<bool>());
    const at::Tensor zeros = at::zeros({2, 32});
    QVERIFY(at::equal(
        decoded(encode_gguf_plain(zeros, GgufType::Q8_0), GgufType::Q8_0, {2, 32}), zeros));
}

void GgufEncodingTest::refusesValuesBeyondHalfPrecision()
{
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"16-bit"}),
        encode_gguf_plain(at::full({32}, 1e6), GgufType::F16));
}

// formats.md 6.6 item 1.
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
