// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/expect_error.h"
#include "support/test_main.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tensor;

class BitPackTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void packsTheGoldenWords_data();
    void packsTheGoldenWords();
    void packsTheGoldenZeroPoints_data();
    void packsTheGoldenZeroPoints();
    void packsWeightsAlongTheInput();
    void unpacksWhatItPacked_data();
    void unpacksWhatItPacked();
    void packsEveryWidthAsOneStream_data();
    void packsEveryWidthAsOneStream();
    void refusesCodesThatDoNotFit();
    void refusesRowsThatDoNotFillWords();
    void refusesOtherWidths();
    void refusesZeroPointZeroStoredMinusOne();
    void interleavesOutputsForAwq();
    void unpacksWhatItPackedForAwq();
    void refusesOutputsThatDoNotFillAwqWords();
};

namespace {

at::Tensor row_of(const std::vector<int64_t>& values)
{
    return at::tensor(values, at::kLong).to(at::kByte).unsqueeze(0);
}

std::vector<int64_t> words_of(const at::Tensor& packed)
{
    std::vector<int64_t> words;
    for (int64_t i = 0; i < packed.numel(); ++i) {
        words.push_back(static_cast<uint32_t>(packed.view({-1})[i].item<int32_t>()));
    }
    return words;
}

std::vector<int64_t> cycle(int64_t count, int64_t period, int64_t first = 0)
{
    std::vector<int64_t> values;
    for (int64_t i = 0; i < count; ++i) {
        values.push_back(first + i % period);
    }
    return values;
}

} // namespace

// formats.md appendix C; 3.5: words are negative numbers in the file, and codes of 8 bits use the whole
// byte, so unpacking must not extend a sign.
void BitPackTest::packsTheGoldenWords_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<std::vector<int64_t>>("codes");
    QTest::addColumn<std::vector<int64_t>>("words");
    QTest::newRow("2 bits") << 2 << cycle(16, 4) << std::vector<int64_t>{0xE4E4E4E4};
    QTest::newRow("3 bits") << 3 << cycle(32, 8)
                            << std::vector<int64_t>{0x88FAC688, 0xC688FAC6, 0xFAC688FA};
    QTest::newRow("4 bits") << 4 << std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}
                            << std::vector<int64_t>{0x87654321};
    QTest::newRow("4 bits, four words")
        << 4 << cycle(32, 8, 1) << std::vector<int64_t>(4, 0x87654321);
    QTest::newRow("8 bits") << 8 << std::vector<int64_t>{1, 2, 128, 255}
                            << std::vector<int64_t>{0xFF800201};
}

void BitPackTest::packsTheGoldenWords()
{
    QFETCH(int, bits);
    QFETCH(std::vector<int64_t>, codes);
    QFETCH(std::vector<int64_t>, words);
    const at::Tensor packed = pack_bits(row_of(codes), bits);
    QCOMPARE(words_of(packed), words);
    QVERIFY(at::equal(unpack_bits(packed, bits), row_of(codes)));
    QCOMPARE(words_of(pack_stream(row_of(codes), bits).view(at::kInt)), words);
}

void BitPackTest::packsTheGoldenZeroPoints_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<std::vector<int64_t>>("plain");
    QTest::addColumn<std::vector<int64_t>>("minusOne");
    QTest::newRow("2 bits") << 2 << std::vector<int64_t>{0xAAAAAAAA, 0xAAAAAAAA}
                            << std::vector<int64_t>{0x55555555, 0x55555555};
    QTest::newRow("3 bits") << 3 << std::vector<int64_t>{0x24924924, 0x49249249, 0x92492492}
                            << std::vector<int64_t>{0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D};
    QTest::newRow("4 bits") << 4 << std::vector<int64_t>(4, 0x88888888)
                            << std::vector<int64_t>(4, 0x77777777);
    QTest::newRow("8 bits") << 8 << std::vector<int64_t>(8, 0x80808080)
                            << std::vector<int64_t>(8, 0x7F7F7F7F);
}

void BitPackTest::packsTheGoldenZeroPoints()
{
    QFETCH(int, bits);
    QFETCH(std::vector<int64_t>, plain);
    QFETCH(std::vector<int64_t>, minusOne);
    const at::Tensor zeros = at::full({32, 1}, 1 << (bits - 1), at::kByte);
    const at::Tensor stored = pack_gptq_zeros(zeros, bits, ZeroOffset::Plain);
    QCOMPARE(stored.sizes(), at::IntArrayRef({1, bits}));
    QCOMPARE(words_of(stored), plain);
    const at::Tensor shifted = pack_gptq_zeros(zeros, bits, ZeroOffset::MinusOne);
    QCOMPARE(words_of(shifted), minusOne);
    QVERIFY(at::equal(unpack_gptq_zeros(stored, bits, ZeroOffset::Plain), zeros));
    QVERIFY(at::equal(unpack_gptq_zeros(shifted, bits, ZeroOffset::MinusOne), zeros));
}

void BitPackTest::packsWeightsAlongTheInput()
{
    // Output row 1 holds inputs 1..8, row 0 holds zeros: one word per output column.
    const at::Tensor codes = at::stack({at::zeros(8), at::arange(1, 9)}).to(at::kByte);
    const at::Tensor packed = pack_gptq_codes(codes, 4);
    QCOMPARE(packed.sizes(), at::IntArrayRef({1, 2}));
    QCOMPARE(words_of(packed), (std::vector<int64_t>{0, 0x87654321}));
}

void BitPackTest::unpacksWhatItPacked_data()
{
    QTest::addColumn<int>("bits");
    for (const int bits : {2, 3, 4, 8}) {
        QTest::addRow("%d bits", bits) << bits;
    }
}

void BitPackTest::unpacksWhatItPacked()
{
    QFETCH(int, bits);
    at::manual_seed(bits);
    const at::Tensor codes = at::randint(0, 1 << bits, {70, 96}, at::kByte);
    QVERIFY(at::equal(unpack_bits(pack_bits(codes, bits), bits), codes));
    QVERIFY(at::equal(unpack_gptq_codes(pack_gptq_codes(codes, bits), bits), codes));
}

void BitPackTest::packsEveryWidthAsOneStream_data()
{
    QTest::addColumn<int>("bits");
    for (int bits = 1; bits <= 8; ++bits) {
        QTest::addRow("%d bits", bits) << bits;
    }
}

void BitPackTest::packsEveryWidthAsOneStream()
{
    QFETCH(int, bits);
    at::manual_seed(bits);
    const at::Tensor codes = at::randint(0, 1 << bits, {70, 96}, at::kByte);
    const at::Tensor words = pack_stream(codes, bits);
    QCOMPARE(words.scalar_type(), at::kUInt32);
    QCOMPARE(words.sizes(), at::IntArrayRef({70, 3 * bits}));
    const auto* word = static_cast<const uint32_t*>(words.const_data_ptr());
    const auto* code = codes.const_data_ptr<uint8_t>();
    int64_t wrong = 0; // rows end where words end, so that all codes are one stream
    for (int64_t bit = 0; bit < codes.numel() * bits; ++bit) {
        const uint32_t expected = static_cast<uint32_t>(code[bit / bits]) >> (bit % bits) & 1U;
        wrong += (word[bit / 32] >> (bit % 32) & 1U) == expected ? 0 : 1;
    }
    QCOMPARE(wrong, int64_t(0));
    QVERIFY(at::equal(unpack_stream(words, bits), codes));
}

void BitPackTest::refusesCodesThatDoNotFit()
{
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"16", "0 to 15"}),
        pack_bits(at::full({1, 8}, 16, at::kByte), 4));
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"32", "0 to 31"}),
        pack_stream(at::full({1, 32}, 32, at::kByte), 5));
}

void BitPackTest::refusesRowsThatDoNotFillWords()
{
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"multiples of 8"}),
        pack_bits(at::zeros({1, 9}, at::kByte), 4));
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"multiples of 32"}),
        pack_bits(at::zeros({1, 16}, at::kByte), 3));
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"multiples of 16"}),
        pack_stream(at::zeros({1, 24}, at::kByte), 6));
    EXPECT_ERROR(
        ShapeMismatch, EXPECT_WORDS({"three words"}), unpack_bits(at::zeros({1, 4}, at::kInt), 3));
}

void BitPackTest::refusesOtherWidths()
{
    EXPECT_ERROR(
        UnsupportedScheme, EXPECT_WORDS({"5"}), pack_bits(at::zeros({1, 32}, at::kByte), 5));
}

// formats.md 3.4: 0 less one does not fit its field; in the whole word it borrows from its neighbour.
void BitPackTest::refusesZeroPointZeroStoredMinusOne()
{
    const at::Tensor zeros = at::zeros({32, 1}, at::kByte);
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({"zero point"}),
        pack_gptq_zeros(zeros, 4, ZeroOffset::MinusOne));
    QCOMPARE(words_of(pack_gptq_zeros(zeros, 4, ZeroOffset::Plain)), std::vector<int64_t>(4, 0));
}

// formats.md 4 and appendix C.
void BitPackTest::interleavesOutputsForAwq()
{
    // Input 0 holds 0..7 for the outputs, input 1 their zero points.
    const at::Tensor values = at::stack({at::arange(8), at::full({8}, 8)}, 1).to(at::kByte);
    const at::Tensor words = pack_awq(values);
    QCOMPARE(words.sizes(), at::IntArrayRef({2, 1}));
    QCOMPARE(words_of(words), (std::vector<int64_t>{0x75316420, 0x88888888}));
}

void BitPackTest::unpacksWhatItPackedForAwq()
{
    at::manual_seed(1);
    const at::Tensor values = at::randint(0, 16, {40, 7}, at::kByte);
    const at::Tensor words = pack_awq(values);
    QCOMPARE(words.sizes(), at::IntArrayRef({7, 5}));
    QVERIFY(at::equal(unpack_awq(words), values));
}

void BitPackTest::refusesOutputsThatDoNotFillAwqWords()
{
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"12", "multiples of 8"}),
        pack_awq(at::zeros({12, 4}, at::kByte)));
    EXPECT_ERROR(
        InvalidSpec, EXPECT_WORDS({"16", "0 to 15"}), pack_awq(at::full({8, 1}, 16, at::kByte)));
}

BITSMITH_TEST(BitPackTest)
#include "bit_pack_test.moc"
