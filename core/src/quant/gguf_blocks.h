// SPDX-License-Identifier: GPL-3.0-or-later
// Decoding of GGUF blocks to fp32 (formats.md 6.2, where every block's byte layout stands).
//
// Products and sums are rounded to fp32 one after the other in the order of the formulas, so that
// the result is bit for bit that of the `gguf` Python package (gguf-py: gguf/quants.py).
#pragma once

#include "tensor/gguf_types.h"

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bitsmith::quant {

/// Can decode_gguf read this type? F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K.
bool is_gguf_decodable(tensor::GgufType type);
/// The names of those types, for messages.
std::string decodable_gguf_types();

/// Decodes whole rows: fp32 of `shape` (outermost first, last a multiple of the type's block) on
/// the CPU, on all of LibTorch's threads. `bytes` has exactly the size that type and shape ask for.
/// Throws UnsupportedFormat for a type that is not decoded, Internal for a wrong size.
at::Tensor decode_gguf(const tensor::GgufTypeInfo& type, std::span<const std::byte> bytes,
    const std::vector<int64_t>& shape);

/// Decodes `n_blocks` blocks of one type.
using GgufBlockDecoder = void (*)(const uint8_t* blocks, int64_t n_blocks, float* out);

// Super-blocks of 256 elements, in gguf_blocks_k.cpp.
void decode_q2_k(const uint8_t* blocks, int64_t n_blocks, float* out);
void decode_q3_k(const uint8_t* blocks, int64_t n_blocks, float* out);
void decode_q4_k(const uint8_t* blocks, int64_t n_blocks, float* out);
void decode_q5_k(const uint8_t* blocks, int64_t n_blocks, float* out);
void decode_q6_k(const uint8_t* blocks, int64_t n_blocks, float* out);

/// fp16 stored little-endian at `bytes`.
float load_half(const uint8_t* bytes);

} // namespace bitsmith::quant
