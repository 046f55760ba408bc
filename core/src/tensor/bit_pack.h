// SPDX-License-Identifier: GPL-3.0-or-later
// Packing of small codes into 32-bit words in the orders that formats use.
//
// All orders here are little-endian bit streams: value i of a row occupies the bits
// [bits·i, bits·(i+1)) of the row, bit 0 being the lowest bit of word 0. For 2, 4 and 8 bits that is
// "32/bits values per word, first value lowest"; codes of 3, 5, 6 and 7 bits straddle words. AWQ interleaves the eight values of a word besides. Source: formats.md 2.3, 4, golden
// vectors in appendix C.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitsmith::tensor {

/// How a format stores zero points.
enum class ZeroOffset
{
    Plain, ///< the zero point itself
    MinusOne, ///< zero point - 1 ("GPTQ v1")
};

/// Packs each row, 1 to 8 bits: codes uint8 [rows, columns] -> uint32 [rows, columns * bits / 32].
/// Throws ShapeMismatch unless a row fills whole 32-bit words, InvalidSpec for a code that does not
/// fit.
at::Tensor pack_stream(const at::Tensor& codes, int64_t bits);

/// Inverse -> uint8 [rows, columns]; the words of a row hold whole codes.
at::Tensor unpack_stream(const at::Tensor& words, int64_t bits);

/// Widths that the functions below accept: 2, 3, 4, 8.
bool is_packable_width(int64_t bits);

/// pack_stream with int32 words, as formats for GPUs have them: codes uint8 [rows, columns] -> int32
/// [rows, columns / 32 * bits]. Throws besides UnsupportedScheme for another width.
at::Tensor pack_bits(const at::Tensor& codes, int64_t bits);

/// Inverse: words int32 [rows, columns / 32 * bits] -> uint8 [rows, columns].
at::Tensor unpack_bits(const at::Tensor& words, int64_t bits);

/// GPTQ order of weights, packed along the input: codes uint8 [out, in] -> int32
/// [in / 32 * bits, out].
at::Tensor pack_gptq_codes(const at::Tensor& codes, int64_t bits);
/// Inverse -> uint8 [out, in].
at::Tensor unpack_gptq_codes(const at::Tensor& words, int64_t bits);

/// GPTQ order of zero points, packed along the output: zeros uint8 [out, groups] -> int32
/// [groups, out / 32 * bits]. MinusOne throws UnsupportedScheme for a zero point of 0: readers
/// disagree about what the wrapped value means (formats.md 3.4).
at::Tensor pack_gptq_zeros(const at::Tensor& zeros, int64_t bits, ZeroOffset offset);
/// Inverse -> uint8 [out, groups]; MinusOne values become stored + 1, which may be 2^bits. Throws
/// FileCorrupt where that does not fit a byte.
at::Tensor unpack_gptq_zeros(const at::Tensor& words, int64_t bits, ZeroOffset offset);

/// AWQ order (gemm) of 4-bit weights and zero points, packed along the output and interleaved: values
/// uint8 [out, n] -> int32 [n, out / 8], where the four bits from 4·i of word c are those of output
/// 8·c + [0, 2, 4, 6, 1, 3, 5, 7][i]. Throws ShapeMismatch unless `out` is a multiple of 8, InvalidSpec
/// for a value above 15.
at::Tensor pack_awq(const at::Tensor& values);
/// Inverse: words int32 [n, out / 8] -> uint8 [out, n].
at::Tensor unpack_awq(const at::Tensor& words);

} // namespace bitsmith::tensor
