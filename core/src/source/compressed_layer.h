// SPDX-License-Identifier: GPL-3.0-or-later
// One quantized layer of a compressed-tensors checkpoint: recognized by its tensors, and decoded.
// Layouts: source/compressed_tensors_source.h.
#pragma once

#include "base/json_io.h"
#include "tensor/tensor_source.h"

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bitsmith::source {

/// What the configuration says about any of its layers.
struct CompressedConfig
{
    std::set<int64_t> packed_bits; ///< of packed integers
    /// Rows and columns of FP8 tiles; 128 x 128 stands last when the configuration names none.
    std::vector<std::pair<int64_t, int64_t>> tiles;
};

/// Throws UnsupportedFormat for what cannot be read, FileCorrupt for values of a wrong kind.
CompressedConfig read_compressed_config(const Json& quantization_config);

enum class CompressedKind
{
    PackedInt,
    Int,
    Fp8,
    MxFp8,
    MxFp4,
    NvFp4,
};

struct CompressedLayer
{
    std::string name; ///< P
    CompressedKind kind = CompressedKind::Int;
    int64_t bits = 8;
    int64_t rows = 0, columns = 0; ///< of the weight
    int64_t tile_rows = 1, tile_columns = 0; ///< that share a scale
    bool has_zeros = false;

    /// "INT4", "FP8", "MXFP4" ...
    std::string word() const;
};

/// Checks the tensors of layer `name` against each other. Throws as open_compressed_tensors does.
CompressedLayer find_compressed_layer(
    const tensor::TensorSource& stored, const CompressedConfig& config, const std::string& name);

/// fp32 [rows, columns] = (code - zero) * scale.
at::Tensor decode_compressed_layer(
    const tensor::TensorSource& stored, const CompressedLayer& layer);

} // namespace bitsmith::source
