// SPDX-License-Identifier: GPL-3.0-or-later
// Layers whose kind follows from the types and shapes of their tensors: those of
// compressed-tensors, and FP8, MX and NV layers of other methods, which are stored alike. Layouts:
// source/compressed_tensors_source.h, source/fp8_source.h.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <cstdint>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace bitsmith::source {

/// What the configuration says about any of its layers.
struct CompressedConfig
{
    std::set<int64_t> packed_bits; ///< of packed integers
    /// Rows and columns of FP8 tiles; the first that fits is taken.
    std::vector<std::pair<int64_t, int64_t>> tiles = {{128, 128}};
    /// What U8 codes under U8 scales are: MxFp or MxInt in groups of 32, NvFpE5m3 in groups of 16.
    DataType byte_pairs = DataType::MxFp;
    /// What the scales beside P.weight may be called.
    std::vector<std::string_view> scale_endings = {".weight_scale"};
};

/// Description of compressed-tensors. Throws UnsupportedFormat for what cannot be read, FileCorrupt
/// for values of a wrong kind.
CompressedConfig read_compressed_config(const Json& quantization_config);

/// Checks the tensors of the layer whose codes `entry` holds against each other; null for other
/// tensors. Throws as open_compressed_tensors does.
std::unique_ptr<StoredLayer> find_compressed_layer(const tensor::TensorSource& stored,
    const CompressedConfig& config, const tensor::TensorEntry& entry);

} // namespace bitsmith::source
