// SPDX-License-Identifier: GPL-3.0-or-later
// Codes -> bytes of the K types of GGUF, whose blocks have 256 elements. Inverse of
// quant/gguf_blocks_k.cpp; every block's byte layout stands in formats.md 6.2.
#pragma once

#include "quant/codec.h"
#include "tensor/gguf_types.h"

#include <ATen/core/Tensor.h>

#include <optional>

namespace bitsmith::exporting {

/// Q2_K, Q3_K, Q4_K, Q5_K or Q6_K for the schemes of DataType::IntDouble with those fields; empty
/// for every other scheme.
std::optional<tensor::GgufType> gguf_super_type_of(const Scheme& scheme);

/// Bytes of a weight of DataType::IntDouble as uint8 [rows, bytes of a row]: the decoder gives exactly
/// the codec's values. Throws UnsupportedScheme when the type is not that of the weight's scheme,
/// ShapeMismatch when columns are not a multiple of 256 or a part has not the shape and element type
/// of quant/codec.h, NumericFailure for super-scales that are not finite.
at::Tensor encode_gguf_super_blocks(const quant::QuantizedWeight& weight, tensor::GgufType type);

} // namespace bitsmith::exporting
