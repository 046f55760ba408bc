// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/compressed_layer.h"

#include "base/text.h"
#include "source/compressed_unpack.h"
#include "source/layer_parts.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;
using tensor::TensorSource;
using Shape = std::vector<int64_t>;

constexpr std::string_view kWeight = ".weight", kPacked = ".weight_packed";
constexpr int64_t kMxGroup = 32, kNvGroup = 16;
/// What may stand beside codes and scales. The last ones belong to the layer's activations.
constexpr std::array<std::string_view, 8> kSideEndings = {".weight_shape", ".weight_zero_point",
    ".weight_global_scale", ".input_scale", ".input_zero_point", ".input_global_scale",
    ".output_scale", ".output_zero_point"};

bool is_bytes(const TensorEntry& scale)
{
    return scale.dtype == "U8" || scale.dtype == "F8_E8M0";
}

const TensorEntry* find_scale(
    const TensorSource& stored, const CompressedConfig& config, const std::string& layer)
{
    for (const std::string_view ending : config.scale_endings) {
        if (const TensorEntry* entry = stored.find(layer + std::string(ending))) {
            return entry;
        }
    }
    return nullptr;
}

enum class ScaleType
{
    Plain, ///< 16 or 32 bit floating point
    Bytes,
    E4m3,
};

/// Data type and bits of a layer; `columns` counts codes.
void settle_kind(CompressedLayer& layer, const CompressedConfig& config, const TensorEntry& codes,
    const TensorEntry& scale)
{
    struct Row
    {
        bool is_packed;
        std::string_view codes;
        ScaleType scale;
        DataType type;
        int64_t bits;
    };
    const Row rows[] = {{true, "I32", ScaleType::Plain, DataType::Int, 8},
        {true, "U8", ScaleType::Bytes, config.byte_pairs, 4},
        {true, "U8", ScaleType::E4m3, DataType::NvFp, 4},
        {false, "I8", ScaleType::Plain, DataType::Int, 8},
        {false, "F8_E4M3", ScaleType::Bytes, DataType::MxFp, 8},
        {false, "F8_E4M3", ScaleType::Plain, DataType::Fp8, 8},
        {false, "F8_E5M2", ScaleType::Plain, DataType::Fp8, 8},
        {false, "U8", ScaleType::Plain, DataType::Fp8, 8}};
    for (const Row& row : rows) {
        const bool fits = row.scale == ScaleType::Plain ? is_plain_float(scale)
            : row.scale == ScaleType::Bytes             ? is_bytes(scale)
                                                        : scale.dtype == "F8_E4M3";
        if (row.is_packed == layer.is_packed && row.codes == codes.dtype && fits) {
            layer.scheme.data_type = row.type;
            layer.scheme.bits = row.bits;
            return;
        }
    }
    fail(ErrorCode::UnsupportedFormat, "codes and scales of these types cannot be read",
        {{"tensor", codes.name}, {"found", concat(codes.dtype, " with scales ", scale.dtype)},
            {"allowed",
                "I32, I8, F8_E4M3, F8_E5M2 or U8 with F16, BF16 or F32; F8_E4M3 or U8 with U8; U8 "
                "with F8_E4M3"}});
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
            layer.scheme.bits = bits;
            return;
        }
    }
    misfit(codes,
        concat("codes of a width that the configuration names, ", layer.columns, " in a row"));
}

/// Which rows and columns share a scale.
void measure_tiles(CompressedLayer& layer, const CompressedConfig& config, const TensorEntry& scale)
{
    const bool is_fp8 = layer.scheme.data_type == DataType::Fp8;
    Shape shape = scale.shape;
    if (shape.empty() || shape == Shape{1} || shape == Shape{1, 1}) {
        // Integers have no scheme with one scale per tensor; each row repeats it.
        layer.scheme.group_size = is_fp8 ? kGroupPerTensor : kGroupPerRow;
        return;
    }
    if (shape.size() == 1) {
        shape.push_back(1);
    }
    if (shape.size() == 2 && shape[0] == layer.rows && shape[1] > 0
        && layer.columns % shape[1] == 0) {
        layer.scheme.group_size = shape[1] == 1 ? kGroupPerRow : layer.columns / shape[1];
        return;
    }
    for (const auto& [rows, columns] : config.tiles) {
        if (is_fp8
            && shape == Shape{divide_up(layer.rows, rows), divide_up(layer.columns, columns)}) {
            layer.scheme.group_rows = rows;
            layer.scheme.group_size = columns;
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
    layer.scheme.group_size = width;
}

void measure(CompressedLayer& layer, const TensorSource& stored, const CompressedConfig& config,
    const TensorEntry& codes, const TensorEntry& scale)
{
    require_matrix(codes);
    layer.rows = codes.shape[0];
    layer.columns = codes.shape[1];
    DataType& type = layer.scheme.data_type;
    if (type == DataType::Int && layer.is_packed) {
        measure_packed(layer, stored, config, codes);
    } else if (layer.is_packed) {
        layer.columns *= 2;
    } else if (type == DataType::MxFp
        && scale.shape != Shape{layer.rows, divide_up(layer.columns, kMxGroup)}) {
        type = DataType::Fp8; // tiles with powers of two for scales
    }
    if (type == DataType::Int || type == DataType::Fp8) {
        measure_tiles(layer, config, scale);
    } else {
        const bool is_mx = type == DataType::MxFp || type == DataType::MxInt;
        require_groups(layer, scale, is_mx ? kMxGroup : kNvGroup);
    }
}

void check_zeros(CompressedLayer& layer, const TensorSource& stored, const TensorEntry& scale)
{
    const TensorEntry* zeros = stored.find(layer.name + ".weight_zero_point");
    if (zeros == nullptr) {
        return;
    }
    layer.has_zeros = true;
    layer.scheme.sym = false;
    if (layer.scheme.data_type != DataType::Int) {
        misfit(*zeros, "no zero points beside floating point codes");
    }
    if (layer.is_packed) {
        const int64_t groups = quant::group_count(layer.scheme, layer.columns);
        require(*zeros, "I32", {divide_up(layer.rows * layer.scheme.bits, kWordBits), groups});
    } else {
        require(*zeros, "I8", scale.shape);
    }
}

/// The layer whose codes `entry` holds; empty for other tensors.
std::string coded_layer(
    const TensorSource& stored, const CompressedConfig& config, const TensorEntry& entry)
{
    if (std::string layer = layer_of(entry.name, kPacked); !layer.empty()) {
        return layer;
    }
    std::string layer = layer_of(entry.name, kWeight);
    const bool is_coded = !layer.empty() && stored.find(layer + std::string(kPacked)) == nullptr
        && (find_scale(stored, config, layer) != nullptr || entry.dtype == "F8_E4M3"
            || entry.dtype == "F8_E5M2" || entry.dtype == "I8");
    return is_coded ? layer : std::string();
}

} // namespace

std::unique_ptr<StoredLayer> find_compressed_layer(
    const TensorSource& stored, const CompressedConfig& config, const TensorEntry& entry)
{
    auto layer = std::make_unique<CompressedLayer>();
    layer->name = coded_layer(stored, config, entry);
    if (layer->name.empty()) {
        return nullptr;
    }
    if (const TensorEntry* order = stored.find(layer->name + ".weight_g_idx")) {
        fail(ErrorCode::UnsupportedFormat,
            "layers with a column order (weight_g_idx) are not supported",
            {{"tensor", order->name}});
    }
    const TensorEntry* found = find_scale(stored, config, layer->name);
    const TensorEntry& scale = found != nullptr
        ? *found
        : part(stored, layer->name + std::string(config.scale_endings.front()));
    layer->is_packed = entry.name.ends_with(kPacked);
    layer->scale = scale.name;
    layer->parts = {entry.name, scale.name};
    for (const std::string_view ending : kSideEndings) {
        if (const TensorEntry* side = stored.find(layer->name + std::string(ending))) {
            layer->parts.push_back(side->name);
        }
    }
    settle_kind(*layer, config, entry, scale);
    measure(*layer, stored, config, entry, scale);
    if (layer->scheme.data_type == DataType::NvFp) {
        require(part(stored, layer->name + ".weight_global_scale"), "F32", {1});
    }
    check_zeros(*layer, stored, scale);
    return layer;
}

} // namespace bitsmith::source
