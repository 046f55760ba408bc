// SPDX-License-Identifier: GPL-3.0-or-later
// Which schemes compressed-tensors has, and how config.json describes them. Source: formats.md 5.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

#include <string>
#include <string_view>

namespace bitsmith::exporting {

/// How the weights of a layer are stored.
enum class CompressedFormat
{
    PackedInt,
    Int, ///< one byte per code, beside integer activations
    Float8,
    MxFp4,
    MxFp8,
    NvFp4,
};

/// "pack-quantized" and so on.
std::string_view format_word(CompressedFormat format);
/// Only for quantized schemes without refusal.
CompressedFormat compressed_format(const Scheme& scheme);
/// Empty: the format has layers of this scheme. Otherwise the reason in one sentence.
std::string compressed_refusal(const Scheme& scheme);

/// Whether a row of `columns` is one group: its scale is then described as one per channel, because
/// readers want groups that divide the row.
bool has_row_scale(const Scheme& scheme, int64_t columns);

/// The object `quantization_config` of config.json: one group of the class Linear when all layers
/// are described alike, otherwise groups with the exact names of their layers, sorted. `ignore` names
/// all linear weights that stay as they are, and the head.
Json compressed_tensors_config(const ExportInput& input);

} // namespace bitsmith::exporting
