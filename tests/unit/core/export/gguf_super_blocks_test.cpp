// SPDX-License-Identifier: GPL-3.0-or-later
// Codes of K types to bytes and back, and the golden vectors of formats.md appendix C.
#include "export/gguf/blocks_k.h"
#include "quant/double_codec.h"
#include "quant/gguf_blocks.h"
#include "support/expect_error.h"
#include "support/same_bits.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "values/scheme_presets.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <limits>

using namespace bitsmith;
using namespace bitsmith::exporting;
using quant::QuantizedWeight;
using tensor::GgufType;

namespace {

using Bytes = std::vector<uint8_t>;

struct Type
{
    GgufType type;
    const char* name;
};
constexpr Type kTypes[] = {{GgufType::Q2_K, "q2_k"}, {GgufType::Q3_K, "q3_k"},
    {GgufType::Q4_K, "q4_k"}, {GgufType::Q5_K, "q5_k"}, {GgufType::Q6_K, "q6_k"}};

Scheme k_scheme(const char* name)
{
    return find_gguf_preset(name)->scheme;
}

void add_types()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::addColumn<GgufType>("type");
    for (const Type& type : kTypes) {
        QTest::newRow(type.name) << k_scheme(type.name) << type.type;
    }
}

/// Every code that the type has, in random order, under signed super-scales.
QuantizedWeight random_weight(const Scheme& scheme, int64_t rows, int64_t columns)
{
    at::manual_seed(1);
    const int64_t groups = columns / scheme.group_size, supers = columns / 256;
    const int64_t count = int64_t{1} << scheme.super_bits, first = scheme.sym ? -count / 2 : 0;
    QuantizedWeight weight;
    weight.scheme = scheme;
    weight.codes = at::randint(0, int64_t{1} << scheme.bits, {rows, columns}, at::kByte);
    weight.scales = at::randint(first, first + count, {rows, groups}, at::kChar);
    weight.super_scales = at::randn({rows, supers}).to(at::kHalf);
    if (!scheme.sym) {
        weight.zeros = at::randint(0, count, {rows, groups}, at::kByte);
        weight.super_zeros = at::randn({rows, supers}).to(at::kHalf);
    }
    return weight;
}

/// One block with the codes `code(i)`, all other parts one.
template <class Function>
QuantizedWeight block_of(const char* name, Function code)
{
    QuantizedWeight weight = random_weight(k_scheme(name), 1, 256);
    for (int64_t i = 0; i < 256; ++i) {
        weight.codes[0][i] = code(i);
    }
    for (at::Tensor* part :
        {&weight.scales, &weight.zeros, &weight.super_scales, &weight.super_zeros}) {
        if (part->defined()) {
            part->fill_(1);
        }
    }
    return weight;
}

Bytes part_of(const at::Tensor& bytes, std::ptrdiff_t first, std::ptrdiff_t count)
{
    const auto* begin = bytes.const_data_ptr<uint8_t>() + first;
    return {begin, begin + count};
}

Bytes filled(std::size_t count, uint8_t value)
{
    return Bytes(count, value);
}

Bytes joined(Bytes a, const Bytes& b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// 00 11 22 .. FF again and again.
Bytes nibbles(unsigned count)
{
    Bytes bytes;
    for (unsigned i = 0; i < count; ++i) {
        bytes.push_back(static_cast<uint8_t>((i % 16U) * 0x11U));
    }
    return bytes;
}

at::Tensor decoded(const at::Tensor& bytes, GgufType type, const QuantizedWeight& weight)
{
    return quant::decode_gguf(tensor::gguf_type(type),
        std::as_bytes(std::span(bytes.const_data_ptr<uint8_t>(), std::size_t(bytes.numel()))),
        {weight.rows(), weight.columns()});
}

} // namespace

class GgufSuperBlocksTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decodesToTheCodecsValuesBitForBit_data() { add_types(); }
    void decodesToTheCodecsValuesBitForBit();
    void decodesToWhatWasFakeQuantized_data() { add_types(); }
    void decodesToWhatWasFakeQuantized();
    void writesTheGoldenCodes();
    void writesTheGoldenScales();
    void writesSuperScalesWhereTheyBelong();
    void namesTheTypeOfAScheme_data() { add_types(); }
    void namesTheTypeOfAScheme();
    void refusesOtherTypes();
    void refusesPartsThatDoNotFit();
};

void GgufSuperBlocksTest::decodesToTheCodecsValuesBitForBit()
{
    QFETCH(Scheme, scheme);
    QFETCH(GgufType, type);
    const QuantizedWeight weight = random_weight(scheme, 24, 1024);
    const at::Tensor bytes = encode_gguf_super_blocks(weight, type);
    QVERIFY(bytes.sizes() == at::IntArrayRef({24, 4 * tensor::gguf_type(type).bytes}));
    QVERIFY(same_bits(decoded(bytes, type, weight), quant::DoubleCodec().decode(weight)));
}

void GgufSuperBlocksTest::decodesToWhatWasFakeQuantized()
{
    QFETCH(Scheme, scheme);
    QFETCH(GgufType, type);
    at::manual_seed(2);
    const at::Tensor w = at::randn({16, 512}) * 0.05;
    w[3].zero_();
    w[5].narrow(0, 32, 64).zero_();
    const quant::DoubleCodec codec;
    const QuantizedWeight weight = codec.encode(w, scheme, {});
    QVERIFY(same_bits(decoded(encode_gguf_super_blocks(weight, type), type, weight),
        codec.fake_quantize(w, scheme, {})));
}

void GgufSuperBlocksTest::writesTheGoldenCodes()
{
    const auto quarters = [](int64_t i) { return (i / 32) % 4; };
    at::Tensor bytes = encode_gguf_super_blocks(block_of("q2_k", quarters), GgufType::Q2_K);
    QCOMPARE(part_of(bytes, 16, 64), filled(64, 0xE4));

    const auto eighths = [](int64_t i) { return (i / 32) % 8; };
    bytes = encode_gguf_super_blocks(block_of("q3_k", eighths), GgufType::Q3_K);
    QCOMPARE(part_of(bytes, 0, 32), filled(32, 0xF0));
    QCOMPARE(part_of(bytes, 32, 64), filled(64, 0xE4));

    // Q4_K has no vector of its own; its codes are the low nibbles of Q5_K.
    bytes = encode_gguf_super_blocks(
        block_of("q4_k", [](int64_t i) { return i % 16; }), GgufType::Q4_K);
    QCOMPARE(part_of(bytes, 16, 128), nibbles(128));

    bytes = encode_gguf_super_blocks(
        block_of("q5_k", [](int64_t i) { return i % 32; }), GgufType::Q5_K);
    QCOMPARE(part_of(bytes, 16, 32), joined(filled(16, 0x00), filled(16, 0xFF)));
    QCOMPARE(part_of(bytes, 48, 128), nibbles(128));

    bytes = encode_gguf_super_blocks(
        block_of("q6_k", [](int64_t i) { return i % 64; }), GgufType::Q6_K);
    const Bytes high = joined(filled(16, 0x88), filled(16, 0xDD));
    QCOMPARE(part_of(bytes, 0, 128), nibbles(128));
    QCOMPARE(part_of(bytes, 128, 64), joined(high, high));
}

void GgufSuperBlocksTest::writesTheGoldenScales()
{
    const auto zero = [](int64_t) { return 0; };
    QuantizedWeight weight = block_of("q3_k", zero);
    weight.scales = at::arange(3 - 32, 64 - 32, 4).to(at::kChar).view({1, 16});
    QCOMPARE(part_of(encode_gguf_super_blocks(weight, GgufType::Q3_K), 96, 12),
        (Bytes{0x33, 0x77, 0xBB, 0xFF, 0x33, 0x77, 0xBB, 0xFF, 0xE4, 0xE4, 0xE4, 0xE4}));

    const Bytes pairs = {0x81, 0xC2, 0xC3, 0xC4, 0x85, 0x86, 0x87, 0x88, 0x18, 0x22, 0x3C, 0x4F};
    for (const Type& type : {kTypes[2], kTypes[3]}) {
        weight = block_of(type.name, zero);
        weight.scales = at::tensor({1, 2, 3, 4, 40, 50, 60, 63}).to(at::kChar).view({1, 8});
        weight.zeros = at::tensor({5, 6, 7, 8, 33, 34, 35, 36}).to(at::kByte).view({1, 8});
        QCOMPARE(part_of(encode_gguf_super_blocks(weight, type.type), 4, 12), pairs);
    }

    weight = block_of("q2_k", zero);
    weight.scales = at::arange(16).to(at::kChar).view({1, 16});
    weight.zeros = at::arange(15, -1, -1).to(at::kByte).view({1, 16});
    const at::Tensor bytes = encode_gguf_super_blocks(weight, GgufType::Q2_K);
    QCOMPARE(part_of(bytes, 0, 3), (Bytes{0xF0, 0xE1, 0xD2}));

    weight = block_of("q6_k", zero);
    weight.scales = at::arange(-8, 8).to(at::kChar).view({1, 16});
    QCOMPARE(part_of(encode_gguf_super_blocks(weight, GgufType::Q6_K), 192, 9),
        (Bytes{0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0x00}));
}

void GgufSuperBlocksTest::writesSuperScalesWhereTheyBelong()
{
    const Bytes one = {0x00, 0x3C}, minus_half = {0x00, 0xB8};
    struct Row
    {
        int index;
        std::ptrdiff_t d, d_min; ///< offsets; d_min < 0: none
    };
    for (const Row& row : {Row{0, 80, 82}, {1, 108, -1}, {2, 0, 2}, {3, 0, 2}, {4, 208, -1}}) {
        const Type& type = kTypes[row.index];
        QuantizedWeight weight = block_of(type.name, [](int64_t) { return 1; });
        weight.super_scales.fill_(-0.5);
        const at::Tensor bytes = encode_gguf_super_blocks(weight, type.type);
        QCOMPARE(part_of(bytes, row.d, 2), minus_half);
        if (row.d_min >= 0) {
            QCOMPARE(part_of(bytes, row.d_min, 2), one);
        }
    }
}

void GgufSuperBlocksTest::namesTheTypeOfAScheme()
{
    QFETCH(Scheme, scheme);
    QFETCH(GgufType, type);
    QVERIFY(gguf_super_type_of(scheme) == type);
    Scheme other = scheme;
    other.gguf_type.clear();
    QVERIFY(gguf_super_type_of(other) == type);
    other.super_bits += 1;
    QVERIFY(!gguf_super_type_of(other));
    other = scheme;
    other.act_bits = 8;
    QVERIFY(!gguf_super_type_of(other));
    QVERIFY(!gguf_super_type_of(scheme_of(scheme.bits, scheme.group_size, scheme.sym)));
}

void GgufSuperBlocksTest::refusesOtherTypes()
{
    const QuantizedWeight weight = random_weight(k_scheme("q4_k"), 2, 256);
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({"Q5_K"}),
        encode_gguf_super_blocks(weight, GgufType::Q5_K));
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({"Q8_0"}),
        encode_gguf_super_blocks(weight, GgufType::Q8_0));
}

void GgufSuperBlocksTest::refusesPartsThatDoNotFit()
{
    const QuantizedWeight whole = random_weight(k_scheme("q4_k"), 2, 512);
    QuantizedWeight weight = whole;
    weight.codes = whole.codes.narrow(1, 0, 384);
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"384", "256"}),
        encode_gguf_super_blocks(weight, GgufType::Q4_K));
    weight = whole;
    weight.zeros.reset();
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"zeros", "nothing", "[2, 16]"}),
        encode_gguf_super_blocks(weight, GgufType::Q4_K));
    weight = whole;
    weight.scales = whole.scales.to(at::kByte);
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"scales", "Byte", "Char"}),
        encode_gguf_super_blocks(weight, GgufType::Q4_K));
    weight = whole;
    weight.super_zeros = at::full({2, 2}, std::numeric_limits<float>::infinity(), at::kHalf);
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"super_zeros"}),
        encode_gguf_super_blocks(weight, GgufType::Q4_K));
}

BITSMITH_TEST(GgufSuperBlocksTest)
#include "gguf_super_blocks_test.moc"
