// SPDX-License-Identifier: GPL-3.0-or-later
// Values -> bytes of GGUF types. Inverse of quant/gguf_blocks.h; every block's byte layout stands
// in formats.md 6.2.
#pragma once

#include "quant/codec.h"
#include "tensor/gguf_types.h"

#include <ATen/core/Tensor.h>

#include <optional>

namespace bitsmith::exporting {

/// The type that holds a scheme's values exactly: symmetric 4, 5, 8 bits -> Q4_0, Q5_0, Q8_0; 4, 5
/// bits with a floating point minimum -> Q4_1, Q5_1; each with groups that are whole blocks of 32
/// columns (a larger group repeats its scale). Empty for every other scheme.
std::optional<tensor::GgufType> gguf_type_of(const Scheme& scheme);

/// Bytes of a quantized weight as uint8 [rows, bytes of a row]: the decoder gives exactly the
/// codec's values. Throws ShapeMismatch when columns are not a multiple of 32, NumericFailure for
/// scales that are not finite fp16 numbers, UnsupportedScheme.
at::Tensor encode_gguf_layer(const quant::QuantizedWeight& weight, tensor::GgufType type);

/// Bytes of a plain tensor in F32, F16 or BF16, as uint8 [n]. Throws NumericFailure when a value
/// does not fit fp16.
at::Tensor encode_gguf_plain(const at::Tensor& values, tensor::GgufType type);

/// Bytes of values [rows, columns] rounded to a type that quantizes, as encode_gguf_layer gives
/// them: every group in its own range, or with `search` in the one of smallest error
/// (quant/range_search.h). Some rows at a time. Throws ShapeMismatch when rows do not hold whole
/// blocks, NumericFailure for values that are not finite or too large for fp16 scales.
at::Tensor round_to_gguf(const at::Tensor& values, tensor::GgufType type, bool search);

/// fp16 bits as two bytes, little-endian.
void put_half(uint8_t* out, uint16_t bits);

} // namespace bitsmith::exporting
