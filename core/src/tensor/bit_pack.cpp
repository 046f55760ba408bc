// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/bit_pack.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <bit>
#include <cstring>
#include <numeric>

static_assert(std::endian::native == std::endian::little);

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

constexpr int64_t kRun = 8; ///< codes that are moved together; they fill `bits` bytes

/// Eight codes, one in each byte, moved together into the lowest 8 · bits bits.
uint64_t squeezed(uint64_t x, int64_t bits)
{
    const int64_t gap = 8 - bits;
    x = (x & 0x00FF00FF00FF00FF) | (x & 0xFF00FF00FF00FF00) >> gap;
    x = (x & 0x0000FFFF0000FFFF) | (x & 0xFFFF0000FFFF0000) >> 2 * gap;
    return (x & 0x00000000FFFFFFFF) | (x & 0xFFFFFFFF00000000) >> 4 * gap;
}

/// The inverse; bits above the eight codes do not matter.
uint64_t spread(uint64_t x, int64_t bits)
{
    const int64_t gap = 8 - bits;
    const uint64_t four = (uint64_t{1} << 4 * bits) - 1;
    const uint64_t two = ((uint64_t{1} << 2 * bits) - 1) * 0x0000000100000001;
    const uint64_t one = ((uint64_t{1} << bits) - 1) * 0x0001000100010001;
    x = (x & four) | (x & four << 4 * bits) << 4 * gap;
    x = (x & two) | (x & two << 2 * bits) << 2 * gap;
    return (x & one) | (x & one << bits) << gap;
}

/// Rows end where words end, so that several rows are one stream too. The stream is that of the
/// bytes of a little-endian machine. Eight bytes are written at a time where so many follow.
void pack_run(const uint8_t* values, uint32_t* words, int64_t n_values, int64_t bits)
{
    auto* out = reinterpret_cast<std::byte*>(words);
    int64_t left = n_values * bits / 8;
    for (int64_t i = 0; i + kRun <= n_values; i += kRun, out += bits, left -= bits) {
        uint64_t run = 0;
        std::memcpy(&run, values + i, sizeof run);
        run = squeezed(run, bits);
        std::memcpy(out, &run, static_cast<std::size_t>(left >= 8 ? 8 : bits));
    }
    if (left > 0) { // half a run of 8-bit codes
        std::memcpy(out, values + n_values / kRun * kRun, static_cast<std::size_t>(left));
    }
}

void unpack_run(const uint32_t* words, uint8_t* values, int64_t n_values, int64_t bits)
{
    const auto* in = reinterpret_cast<const std::byte*>(words);
    int64_t left = n_values * bits / 8;
    for (int64_t i = 0; i + kRun <= n_values; i += kRun, in += bits, left -= bits) {
        uint64_t run = 0;
        std::memcpy(&run, in, static_cast<std::size_t>(left >= 8 ? 8 : bits));
        run = spread(run, bits);
        std::memcpy(values + i, &run, sizeof run);
    }
    if (left > 0) { // half a run of 8-bit codes
        std::memcpy(values + n_values / kRun * kRun, in, static_cast<std::size_t>(left));
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

at::Tensor pack_stream(const at::Tensor& codes, int64_t bits)
{
    BITSMITH_ASSERT(bits >= 1 && bits <= 8);
    const at::Tensor values = checked(codes, at::kByte, "codes");
    const int64_t rows = values.size(0), columns = values.size(1);
    if (columns * bits % kWordBits != 0) {
        fail(ErrorCode::ShapeMismatch, "codes do not fill whole 32-bit words",
            {{"found", std::to_string(columns)},
                {"allowed", concat("multiples of ", kWordBits / std::gcd(kWordBits, bits))}});
    }
    if (bits < 8 && values.numel() > 0 && values.max().item<int64_t>() >= (1LL << bits)) {
        fail(ErrorCode::InvalidSpec, "a code does not fit its width",
            {{"found", std::to_string(values.max().item<int64_t>())},
                {"allowed", concat("0 to ", (1LL << bits) - 1)}});
    }
    const int64_t n_words = columns * bits / kWordBits;
    at::Tensor words = at::empty({rows, n_words}, at::kUInt32);
    const auto* in = values.const_data_ptr<uint8_t>();
    auto* out = static_cast<uint32_t*>(words.mutable_data_ptr());
    at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
        pack_run(in + begin * columns, out + begin * n_words, (end - begin) * columns, bits);
    });
    return words;
}

at::Tensor unpack_stream(const at::Tensor& words, int64_t bits)
{
    BITSMITH_ASSERT(bits >= 1 && bits <= 8);
    const at::Tensor packed = checked(words, at::kUInt32, "packed words");
    const int64_t rows = packed.size(0), n_words = packed.size(1);
    BITSMITH_ASSERT(n_words * kWordBits % bits == 0);
    const int64_t columns = n_words * kWordBits / bits;
    at::Tensor values = at::empty({rows, columns}, at::kByte);
    const auto* in = static_cast<const uint32_t*>(packed.const_data_ptr());
    auto* out = values.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
        unpack_run(in + begin * n_words, out + begin * columns, (end - begin) * columns, bits);
    });
    return values;
}

at::Tensor pack_bits(const at::Tensor& codes, int64_t bits)
{
    check_width(bits);
    return pack_stream(codes, bits).view(at::kInt);
}

at::Tensor unpack_bits(const at::Tensor& words, int64_t bits)
{
    check_width(bits);
    const at::Tensor packed = checked(words, at::kInt, "packed words");
    if (bits == 3 && packed.size(1) % 3 != 0) {
        fail(ErrorCode::ShapeMismatch, "3-bit codes come in groups of three words",
            {{"found", std::to_string(packed.size(1))}});
    }
    return unpack_stream(packed.view(at::kUInt32), bits);
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
