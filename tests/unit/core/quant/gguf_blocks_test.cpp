// SPDX-License-Identifier: GPL-3.0-or-later
// Golden vectors of formats.md appendix C, and the examples of 6.2.
#include "quant/gguf_blocks.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::quant;
using tensor::gguf_type;
using tensor::GgufType;

namespace {

using Block = std::vector<uint8_t>;

constexpr std::array<uint8_t, 2> kHalfOne{0x00, 0x3C};
constexpr std::array<uint8_t, 2> kHalfHalf{0x00, 0x38};
constexpr std::array<uint8_t, 2> kHalfMinusTwo{0x00, 0xC0};

template <class Range>
void append(Block& block, const Range& bytes)
{
    block.insert(block.end(), std::begin(bytes), std::end(bytes));
}

Block filled(std::size_t count, uint8_t value)
{
    return Block(count, value);
}

/// 00 11 22 .. FF: nibbles i % 16 in both halves.
Block nibbles()
{
    Block bytes;
    for (unsigned i = 0; i < 16; ++i) {
        bytes.push_back(static_cast<uint8_t>(0x11U * i));
    }
    return bytes;
}

at::Tensor decode(GgufType type, const Block& block)
{
    const auto& info = gguf_type(type);
    return decode_gguf(info, std::as_bytes(std::span(block)), {info.block});
}

/// Largest deviation from `expected(i)`.
template <class Function>
double worst(const at::Tensor& values, Function expected)
{
    double result = 0;
    const auto* begin = values.const_data_ptr<float>();
    for (int64_t i = 0; i < values.numel(); ++i) {
        result = std::max(result, std::abs(static_cast<double>(begin[i]) - expected(i)));
    }
    return result;
}

const Block& six_bit_pairs()
{
    static const Block bytes{
        0x81, 0xC2, 0xC3, 0xC4, 0x85, 0x86, 0x87, 0x88, 0x18, 0x22, 0x3C, 0x4F};
    return bytes;
}
constexpr std::array<int, 8> kScales{1, 2, 3, 4, 40, 50, 60, 63};
constexpr std::array<int, 8> kMinimums{5, 6, 7, 8, 33, 34, 35, 36};

} // namespace

class GgufBlocksTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decodesPlainTypes();
    void decodesBlocksOf32();
    void decodesQ2K();
    void decodesQ3K();
    void decodesQ4K();
    void decodesQ5K();
    void decodesQ6K();
    void decodesManyRowsInParallel();
    void refusesTypesWithoutDecoder();
};

void GgufBlocksTest::decodesPlainTypes()
{
    QCOMPARE(decode(GgufType::F16, {0x00, 0xB8}).item<float>(), -0.5F);
    QCOMPARE(decode(GgufType::BF16, {0x80, 0x3F}).item<float>(), 1.0F);
    QCOMPARE(decode(GgufType::F32, {0x00, 0x00, 0x80, 0x3F}).item<float>(), 1.0F);
}

void GgufBlocksTest::decodesBlocksOf32()
{
    Block q4_0;
    append(q4_0, kHalfOne);
    append(q4_0, nibbles());
    QCOMPARE(worst(decode(GgufType::Q4_0, q4_0), [](int64_t i) { return i % 16 - 8; }), 0.0);

    Block q4_1;
    append(q4_1, kHalfHalf);
    append(q4_1, kHalfMinusTwo);
    append(q4_1, nibbles());
    QCOMPARE(
        worst(decode(GgufType::Q4_1, q4_1), [](int64_t i) { return 0.5 * (i % 16) - 2; }), 0.0);

    // Fifth bits of elements 0, 2 and 31.
    const Block high{0x05, 0x00, 0x00, 0x80};
    const auto code = [](int64_t i) {
        return static_cast<double>(i % 16 + (i == 0 || i == 2 || i == 31 ? 16 : 0));
    };
    Block q5_0;
    append(q5_0, kHalfHalf);
    append(q5_0, high);
    append(q5_0, nibbles());
    QCOMPARE(
        worst(decode(GgufType::Q5_0, q5_0), [&](int64_t i) { return 0.5 * (code(i) - 16); }), 0.0);

    Block q5_1;
    append(q5_1, kHalfHalf);
    append(q5_1, kHalfMinusTwo);
    append(q5_1, high);
    append(q5_1, nibbles());
    QCOMPARE(
        worst(decode(GgufType::Q5_1, q5_1), [&](int64_t i) { return 0.5 * code(i) - 2; }), 0.0);

    Block q8_0;
    append(q8_0, kHalfHalf);
    for (int i = 0; i < 32; ++i) {
        q8_0.push_back(static_cast<uint8_t>(i < 31 ? i : -128));
    }
    QCOMPARE(worst(decode(GgufType::Q8_0, q8_0),
                 [](int64_t i) { return 0.5 * static_cast<double>(i < 31 ? i : -128); }),
        0.0);
}

void GgufBlocksTest::decodesQ2K()
{
    Block block;
    for (unsigned b = 0; b < 16; ++b) { // scale b, minimum 15 - b
        block.push_back(static_cast<uint8_t>(b | ((15U - b) << 4U)));
    }
    append(block, filled(64, 0xE4));
    append(block, kHalfHalf);
    append(block, kHalfOne);
    const auto expected = [](int64_t i) {
        const auto sub = static_cast<double>(i / 16);
        return 0.5 * sub * static_cast<double>((i / 32) % 4) - (15.0 - sub);
    };
    QCOMPARE(worst(decode(GgufType::Q2_K, block), expected), 0.0);
}

void GgufBlocksTest::decodesQ3K()
{
    Block block = filled(32, 0xF0);
    append(block, filled(64, 0xE4));
    append(block, Block{0x33, 0x77, 0xBB, 0xFF, 0x33, 0x77, 0xBB, 0xFF, 0xE4, 0xE4, 0xE4, 0xE4});
    append(block, kHalfHalf);
    const auto expected = [](int64_t i) {
        const auto scale = static_cast<double>(4 * (i / 16) + 3 - 32);
        return 0.5 * scale * static_cast<double>((i / 32) % 8 - 4);
    };
    QCOMPARE(worst(decode(GgufType::Q3_K, block), expected), 0.0);
}

void GgufBlocksTest::decodesQ4K()
{
    Block block;
    append(block, kHalfHalf);
    append(block, kHalfMinusTwo);
    append(block, six_bit_pairs());
    for (unsigned i = 0; i < 128; ++i) { // low nibble b % 16, high nibble its complement
        block.push_back(static_cast<uint8_t>((i % 16U) | ((15U - i % 16U) << 4U)));
    }
    const auto expected = [](int64_t i) {
        const auto sub = static_cast<std::size_t>(i / 32);
        const int64_t code = sub % 2 == 0 ? i % 16 : 15 - i % 16;
        return 0.5 * kScales[sub] * static_cast<double>(code) + 2.0 * kMinimums[sub];
    };
    QCOMPARE(worst(decode(GgufType::Q4_K, block), expected), 0.0);
}

void GgufBlocksTest::decodesQ5K()
{
    Block block;
    append(block, kHalfOne);
    append(block, kHalfOne);
    append(block, six_bit_pairs());
    append(block, filled(16, 0x00));
    append(block, filled(16, 0xFF));
    for (unsigned i = 0; i < 128; ++i) {
        block.push_back(static_cast<uint8_t>((i % 16U) * 0x11U));
    }
    const auto expected = [](int64_t i) {
        const auto sub = static_cast<std::size_t>(i / 32);
        return static_cast<double>(kScales[sub]) * static_cast<double>(i % 32) - kMinimums[sub];
    };
    QCOMPARE(worst(decode(GgufType::Q5_K, block), expected), 0.0);
}

void GgufBlocksTest::decodesQ6K()
{
    Block block;
    for (unsigned i = 0; i < 128; ++i) {
        block.push_back(static_cast<uint8_t>((i % 16U) * 0x11U));
    }
    for (unsigned l = 0; l < 64; ++l) {
        block.push_back(l % 32 < 16 ? 0x88 : 0xDD);
    }
    for (int b = 0; b < 16; ++b) {
        block.push_back(static_cast<uint8_t>(static_cast<int8_t>(b - 8)));
    }
    append(block, kHalfHalf);
    const auto expected = [](int64_t i) {
        return 0.5 * static_cast<double>(i / 16 - 8) * static_cast<double>(i % 64 - 32);
    };
    QCOMPARE(worst(decode(GgufType::Q6_K, block), expected), 0.0);
}

void GgufBlocksTest::decodesManyRowsInParallel()
{
    // Row r has scale r + 1 in every block; enough blocks for several tasks.
    constexpr int64_t rows = 256;
    constexpr int64_t columns = 1024;
    Block bytes;
    for (int64_t row = 0; row < rows; ++row) {
        const at::Half scale(static_cast<float>(row + 1));
        for (int64_t b = 0; b < columns / 32; ++b) {
            append(bytes,
                std::array<uint8_t, 2>{
                    static_cast<uint8_t>(scale.x & 0xFF), static_cast<uint8_t>(scale.x >> 8)});
            append(bytes, nibbles());
        }
    }
    const at::Tensor values =
        decode_gguf(gguf_type(GgufType::Q4_0), std::as_bytes(std::span(bytes)), {rows, columns});
    const at::Tensor codes = at::arange(columns).remainder(16).sub(8).to(at::kFloat);
    const at::Tensor scales = at::arange(1, rows + 1).to(at::kFloat).unsqueeze(1);
    QVERIFY(at::equal(values, scales * codes));
}

void GgufBlocksTest::refusesTypesWithoutDecoder()
{
    QVERIFY(!is_gguf_decodable(GgufType::IQ4_XS));
    const Block block(136);
    QVERIFY_EXCEPTION_THROWN(decode(GgufType::IQ4_XS, block), Error);
}

BITSMITH_TEST(GgufBlocksTest)
#include "gguf_blocks_test.moc"
