// SPDX-License-Identifier: GPL-3.0-or-later
// What llama.cpp's graphs expect differently from a Hugging Face checkpoint (formats.md 6.6).
#pragma once

#include "model/decoder_spec.h"
#include "quant/codec.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitsmith::exporting {

/// Old row of each new row: halves-split rotary order -> interleaved pairs. New row
/// h·d + 2j + t is old row h·d + t·d/2 + j, for `heads` heads. int64 [rows]. Throws ShapeMismatch
/// when heads do not divide the rows into even parts.
at::Tensor rotary_row_order(int64_t rows, int64_t heads);

/// Codes, scales and zero points with their rows in `order`: decoding commutes with it.
quant::QuantizedWeight with_rows(const quant::QuantizedWeight& weight, const at::Tensor& order);

/// rope_freqs.weight of a model with llama3 scaling: fp32 [rotary dimensions / 2], the divisor of
/// each frequency.
at::Tensor llama3_divisors(const model::RotarySpec& rotary, int64_t head_dim);

} // namespace bitsmith::exporting
