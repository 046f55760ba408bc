// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/compressed_layer.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;
using tensor::TensorSource;
using Shape = std::vector<int64_t>;

constexpr int64_t kWordBits = 32;
constexpr int64_t kMxGroup = 32, kNvGroup = 16;

int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0 ? 1 : 0);
}

[[noreturn]] void misfit(const TensorEntry& entry, const std::string& allowed)
{
    fail(ErrorCode::FileCorrupt, "a tensor of a quantized layer does not fit the others",
        {{"tensor", entry.name}, {"found", concat(entry.dtype, " ", shape_text(entry.shape))},
            {"allowed", allowed}});
}

const TensorEntry& part(const TensorSource& stored, const std::string& name)
{
    const TensorEntry* entry = stored.find(name);
    if (entry == nullptr) {
        fail(ErrorCode::MissingTensor, "a quantized layer is incomplete", {{"tensor", name}});
    }
    return *entry;
}

void require(const TensorEntry& entry, std::string_view dtype, const Shape& shape)
{
    if (entry.dtype != dtype || entry.shape != shape) {
        misfit(entry, concat(dtype, " ", shape_text(shape)));
    }
}

CompressedKind kind_of(const TensorEntry& codes, const TensorEntry& scale, bool is_packed)
{
    struct Row
    {
        bool is_packed;
        std::string_view codes, scale; ///< empty: 16 or 32 bit floating point
        CompressedKind kind;
    };
    static constexpr Row rows[] = {{true, "I32", "", CompressedKind::PackedInt},
        {true, "U8", "U8", CompressedKind::MxFp4}, {true, "U8", "F8_E4M3", CompressedKind::NvFp4},
        {false, "I8", "", CompressedKind::Int}, {false, "F8_E4M3", "U8", CompressedKind::MxFp8},
        {false, "F8_E4M3", "", CompressedKind::Fp8}};
    const bool plain_scale = scale.dtype == "F16" || scale.dtype == "BF16" || scale.dtype == "F32";
    for (const Row& row : rows) {
        if (row.is_packed == is_packed && row.codes == codes.dtype
            && (row.scale.empty() ? plain_scale : row.scale == scale.dtype)) {
            return row.kind;
        }
    }
    fail(ErrorCode::UnsupportedFormat, "codes and scales of these types cannot be read",
        {{"tensor", codes.name}, {"found", concat(codes.dtype, " with scales ", scale.dtype)},
            {"allowed",
                "I32, I8 or F8_E4M3 with F16, BF16 or F32; F8_E4M3 or U8 with U8; U8 with "
                "F8_E4M3"}});
}

/// [rows, columns] of packed integers, and their width: the one that fills the words.
void measure_packed(CompressedLayer& layer, const TensorSource& stored,
    const CompressedConfig& config, const TensorEntry& codes)
{
    const TensorEntry& entry = part(stored, layer.name + ".weight_shape");
    require(entry, "I64", {2});
    const at::Tensor shape = stored.load(entry.name);
    layer.rows = shape[0].item<int64_t>();
    layer.columns = shape[1].item<int64_t>();
    const int64_t words = codes.shape[1];
    if (layer.rows != codes.shape[0] || layer.columns < 1 || layer.columns > words * kWordBits) {
        misfit(codes,
            concat("codes of [", layer.rows, ", ", layer.columns, "], as ", entry.name, " says"));
    }
    for (const int64_t bits : config.packed_bits) {
        if (divide_up(layer.columns * bits, kWordBits) == words) {
            layer.bits = bits;
            return;
        }
    }
    misfit(codes,
        concat("codes of a width that the configuration names, ", layer.columns, " in a row"));
}

/// Which rows and columns share a scale.
void measure_tiles(CompressedLayer& layer, const CompressedConfig& config, const TensorEntry& scale)
{
    Shape shape = scale.shape;
    const bool is_single = shape.empty() || shape == Shape{1} || shape == Shape{1, 1};
    if (is_single) {
        layer.tile_rows = layer.rows;
        layer.tile_columns = layer.columns;
        return;
    }
    if (shape.size() == 1) {
        shape.push_back(1);
    }
    if (shape.size() == 2 && shape[0] == layer.rows && shape[1] > 0
        && layer.columns % shape[1] == 0) {
        layer.tile_columns = layer.columns / shape[1];
        return;
    }
    for (const auto& [rows, columns] : config.tiles) {
        if (layer.kind == CompressedKind::Fp8
            && shape == Shape{divide_up(layer.rows, rows), divide_up(layer.columns, columns)}) {
            layer.tile_rows = std::min(rows, layer.rows);
            layer.tile_columns = std::min(columns, layer.columns);
            return;
        }
    }
    misfit(scale, concat("one scale, or whole groups of [", layer.rows, ", ", layer.columns, "]"));
}

/// Groups of a fixed number of columns.
void require_groups(CompressedLayer& layer, const TensorEntry& scale, int64_t width)
{
    require(scale, scale.dtype, {layer.rows, layer.columns / width});
    if (layer.columns % width != 0) {
        misfit(scale, concat("multiples of ", width, " columns"));
    }
    layer.tile_columns = width;
}

void check_zeros(CompressedLayer& layer, const TensorSource& stored, const TensorEntry& scale)
{
    const TensorEntry* zeros = stored.find(layer.name + ".weight_zero_point");
    if (zeros == nullptr) {
        return;
    }
    layer.has_zeros = true;
    if (layer.kind == CompressedKind::PackedInt) {
        const int64_t groups = layer.columns / layer.tile_columns;
        require(*zeros, "I32", {divide_up(layer.rows * layer.bits, kWordBits), groups});
    } else if (layer.kind == CompressedKind::Int) {
        require(*zeros, "I8", scale.shape);
    } else {
        misfit(*zeros, "no zero points beside floating point codes");
    }
}

} // namespace

std::string CompressedLayer::word() const
{
    switch (kind) {
    case CompressedKind::Fp8:
        return "FP8";
    case CompressedKind::MxFp8:
        return "MXFP8";
    case CompressedKind::MxFp4:
        return "MXFP4";
    case CompressedKind::NvFp4:
        return "NVFP4";
    default:
        return concat("INT", bits);
    }
}

CompressedLayer find_compressed_layer(
    const TensorSource& stored, const CompressedConfig& config, const std::string& name)
{
    CompressedLayer layer;
    layer.name = name;
    const bool is_packed = stored.find(name + ".weight_packed") != nullptr;
    const TensorEntry& codes = part(stored, name + (is_packed ? ".weight_packed" : ".weight"));
    const TensorEntry& scale = part(stored, name + ".weight_scale");
    layer.kind = kind_of(codes, scale, is_packed);
    if (codes.shape.size() != 2 || codes.shape[0] < 1 || codes.shape[1] < 1) {
        misfit(codes, "two dimensions");
    }
    layer.rows = codes.shape[0];
    layer.columns = codes.shape[1];
    switch (layer.kind) {
    case CompressedKind::PackedInt:
        measure_packed(layer, stored, config, codes);
        [[fallthrough]];
    case CompressedKind::Int:
    case CompressedKind::Fp8:
        measure_tiles(layer, config, scale);
        break;
    case CompressedKind::MxFp8:
        require_groups(layer, scale, kMxGroup);
        break;
    case CompressedKind::MxFp4:
    case CompressedKind::NvFp4:
        layer.columns *= 2;
        layer.bits = 4;
        require_groups(layer, scale, layer.kind == CompressedKind::MxFp4 ? kMxGroup : kNvGroup);
        break;
    }
    if (layer.kind == CompressedKind::NvFp4) {
        require(part(stored, name + ".weight_global_scale"), "F32", {1});
    }
    check_zeros(layer, stored, scale);
    return layer;
}

} // namespace bitsmith::source
