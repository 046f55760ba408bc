// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/bit_pack.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace bitsmith::tensor {

namespace {

constexpr int64_t kWordBits = 32;
constexpr int64_t kAwqBits = 4, kAwqRun = kWordBits / kAwqBits;
/// Which of eight outputs the bits from 4·i hold, and where each output is found.
constexpr int64_t kAwqOrder[] = {0, 2, 4, 6, 1, 3, 5, 7}, kAwqPlace[] = {0, 4, 1, 5, 2, 6, 3, 7};

void check_width(int64_t bits)
{
    if (!is_packable_width(bits)) {
        fail(ErrorCode::UnsupportedScheme, "codes of this width cannot be packed",
            {{"found", std::to_string(bits)}, {"allowed", "2, 3, 4, 8 bits"}});
    }
}

at::Tensor checked(const at::Tensor& values, at::ScalarType type, const char* what)
{
    if (values.dim() != 2 || values.scalar_type() != type) {
        fail(ErrorCode::ShapeMismatch, concat(what, " must be a matrix of ", toString(type)),
            {{"found", concat(values.dim(), " dimensions of ", toString(values.scalar_type()))}});
    }
    return values.to(at::kCPU).contiguous();
}

/// Widths that divide a word: no value straddles.
void pack_row_aligned(const uint8_t* values, uint32_t* words, int64_t n_words, int bits)
{
    const int per_word = kWordBits / bits;
    for (int64_t w = 0; w < n_words; ++w) {
        uint32_t word = 0;
        for (int k = 0; k < per_word; ++k) {
            word |= static_cast<uint32_t>(values[w * per_word + k]) << (bits * k);
        }
        words[w] = word;
    }
}

/// 32 values of 3 bits make 96 bits: three words.
void pack_row_of_3(const uint8_t* values, uint32_t* words, int64_t n_words)
{
    for (int64_t t = 0; t < n_words / 3; ++t) {
        const uint8_t* v = values + 32 * t;
        uint64_t low = 0;
        for (int k = 0; k < 21; ++k) {
            low |= static_cast<uint64_t>(v[k]) << (3 * k);
        }
        low |= static_cast<uint64_t>(v[21] & 1U) << 63;
        uint32_t high = v[21] >> 1U;
        for (int k = 22; k < 32; ++k) {
            high |= static_cast<uint32_t>(v[k]) << (3 * k - 64);
        }
        words[3 * t] = static_cast<uint32_t>(low);
        words[3 * t + 1] = static_cast<uint32_t>(low >> 32U);
        words[3 * t + 2] = high;
    }
}

void unpack_row_aligned(const uint32_t* words, uint8_t* values, int64_t n_words, int bits)
{
    const int per_word = kWordBits / bits;
    const uint32_t mask = (1U << bits) - 1U;
    for (int64_t w = 0; w < n_words; ++w) {
        for (int k = 0; k < per_word; ++k) {
            values[w * per_word + k] = static_cast<uint8_t>((words[w] >> (bits * k)) & mask);
        }
    }
}

void unpack_row_of_3(const uint32_t* words, uint8_t* values, int64_t n_words)
{
    for (int64_t t = 0; t < n_words / 3; ++t) {
        const uint64_t low = words[3 * t] | (static_cast<uint64_t>(words[3 * t + 1]) << 32U);
        const uint32_t high = words[3 * t + 2];
        uint8_t* v = values + 32 * t;
        for (int k = 0; k < 21; ++k) {
            v[k] = static_cast<uint8_t>((low >> (3 * k)) & 7U);
        }
        v[21] = static_cast<uint8_t>((low >> 63U) | ((high & 3U) << 1U));
        for (int k = 22; k < 32; ++k) {
            v[k] = static_cast<uint8_t>((high >> (3 * k - 64)) & 7U);
        }
    }
}

/// Values [rows, columns] with every run of eight columns in another order.
at::Tensor reordered(const at::Tensor& values, at::IntArrayRef order)
{
    return values.view({values.size(0), -1, kAwqRun})
        .index_select(2, at::tensor(order, at::kLong))
        .view(values.sizes());
}

} // namespace

bool is_packable_width(int64_t bits)
{
    return bits == 2 || bits == 3 || bits == 4 || bits == 8;
}

at::Tensor pack_bits(const at::Tensor& codes, int64_t bits)
{
    check_width(bits);
    const at::Tensor values = checked(codes, at::kByte, "codes");
    const int64_t rows = values.size(0), columns = values.size(1);
    // 3 bits fill words only in runs of 32 values; other widths in runs of 32 / bits.
    const int64_t run = bits == 3 ? 32 : kWordBits / bits;
    if (columns % run != 0) {
        fail(ErrorCode::ShapeMismatch, "codes do not fill whole 32-bit words",
            {{"found", std::to_string(columns)}, {"allowed", concat("multiples of ", run)}});
    }
    if (bits < 8 && values.numel() > 0 && values.max().item<int64_t>() >= (1LL << bits)) {
        fail(ErrorCode::InvalidSpec, "a code does not fit its width",
            {{"found", std::to_string(values.max().item<int64_t>())},
                {"allowed", concat("0 to ", (1LL << bits) - 1)}});
    }
    const int64_t n_words = columns * bits / kWordBits;
    at::Tensor words = at::empty({rows, n_words}, at::kInt);
    const auto* in = values.const_data_ptr<uint8_t>();
    auto* out = reinterpret_cast<uint32_t*>(words.mutable_data_ptr<int32_t>());
    at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            if (bits == 3) {
                pack_row_of_3(in + row * columns, out + row * n_words, n_words);
            } else {
                pack_row_aligned(
                    in + row * columns, out + row * n_words, n_words, static_cast<int>(bits));
            }
        }
    });
    return words;
}

at::Tensor unpack_bits(const at::Tensor& words, int64_t bits)
{
    check_width(bits);
    const at::Tensor packed = checked(words, at::kInt, "packed words");
    const int64_t rows = packed.size(0), n_words = packed.size(1);
    if (bits == 3 && n_words % 3 != 0) {
        fail(ErrorCode::ShapeMismatch, "3-bit codes come in groups of three words",
            {{"found", std::to_string(n_words)}});
    }
    const int64_t columns = n_words * kWordBits / bits;
    at::Tensor values = at::empty({rows, columns}, at::kByte);
    const auto* in = reinterpret_cast<const uint32_t*>(packed.const_data_ptr<int32_t>());
    auto* out = values.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            if (bits == 3) {
                unpack_row_of_3(in + row * n_words, out + row * columns, n_words);
            } else {
                unpack_row_aligned(
                    in + row * n_words, out + row * columns, n_words, static_cast<int>(bits));
            }
        }
    });
    return values;
}

at::Tensor pack_gptq_codes(const at::Tensor& codes, int64_t bits)
{
    return pack_bits(codes, bits).t().contiguous();
}

at::Tensor unpack_gptq_codes(const at::Tensor& words, int64_t bits)
{
    return unpack_bits(words.t().contiguous(), bits);
}

at::Tensor pack_gptq_zeros(const at::Tensor& zeros, int64_t bits, ZeroOffset offset)
{
    at::Tensor stored = checked(zeros, at::kByte, "zero points").t().contiguous();
    if (offset == ZeroOffset::MinusOne) {
        if (stored.numel() > 0 && stored.min().item<int64_t>() == 0) {
            fail(ErrorCode::UnsupportedScheme,
                "a zero point of 0 cannot be stored as zero point - 1", {},
                "Choose a format that stores zero points as they are.");
        }
        stored = stored.sub(1);
    }
    return pack_bits(stored, bits);
}

at::Tensor unpack_gptq_zeros(const at::Tensor& words, int64_t bits, ZeroOffset offset)
{
    at::Tensor zeros = unpack_bits(words, bits).t().contiguous();
    if (offset == ZeroOffset::Plain) {
        return zeros;
    }
    // Kernels compute stored + 1 without wrapping; 8-bit 255 + 1 does not fit our code type.
    if (bits == 8 && zeros.numel() > 0 && zeros.max().item<int64_t>() == 255) {
        fail(ErrorCode::FileCorrupt, "stored zero point of 255 exceeds the range of 8 bits");
    }
    return zeros.add(1);
}

at::Tensor pack_awq(const at::Tensor& values)
{
    const at::Tensor columns = checked(values, at::kByte, "values").t().contiguous();
    if (columns.size(1) % kAwqRun != 0) {
        fail(ErrorCode::ShapeMismatch, "outputs do not fill whole 32-bit words",
            {{"found", std::to_string(columns.size(1))},
                {"allowed", concat("multiples of ", kAwqRun)}});
    }
    return pack_bits(reordered(columns, kAwqOrder), kAwqBits);
}

at::Tensor unpack_awq(const at::Tensor& words)
{
    return reordered(unpack_bits(words, kAwqBits), kAwqPlace).t().contiguous();
}

} // namespace bitsmith::tensor
