// SPDX-License-Identifier: GPL-3.0-or-later
// quantization_config of compressed-tensors (formats.md 5.1, 5.2).
#include "base/text.h"
#include "source/compressed_layer.h"
#include "source/config_fields.h"
#include "tensor/bit_pack.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bitsmith::source {

namespace {

constexpr std::array<std::string_view, 9> kFormats = {"dense", "pack-quantized", "int-quantized",
    "float-quantized", "naive-quantized", "mxfp4-pack-quantized", "mxfp8-quantized",
    "nvfp4-pack-quantized", "mixed-precision"};
constexpr const char* kPackedFormat = "pack-quantized";

/// The word under `key`, checked; `otherwise` when there is none.
std::string format_of(const Json& object, const std::string& field, const std::string& otherwise)
{
    const Json& value = member(object, "format");
    if (value.is_null()) {
        return otherwise;
    }
    const std::string word = value.is_string() ? value.get<std::string>() : value.dump();
    if (std::find(kFormats.begin(), kFormats.end(), word) == kFormats.end()) {
        unsupported_field(field, word, join({kFormats.begin(), kFormats.end()}, ", "));
    }
    return word;
}

/// Rotations and pruned weights change what the tensors mean.
void check_extras(const Json& config)
{
    for (const char* key : {"transform_config", "sparsity_config"}) {
        const Json& value = member(config, key);
        const bool is_dense = value.is_object() && member(value, "format") == "dense";
        if (!value.is_null() && !value.empty() && !is_dense) {
            unsupported_field(key, value.dump(), "absent or empty");
        }
    }
}

void add_group(CompressedConfig& config, const Json& group, const std::string& field,
    const std::string& common_format)
{
    if (!group.is_object()) {
        malformed_field(field, group, "an object");
    }
    const std::string format = format_of(group, concat(field, ".format"), common_format);
    const Json& weights = member(group, "weights");
    if (weights.is_null()) {
        return;
    }
    const Json& bits = weights.is_object() ? member(weights, "num_bits") : weights;
    if (!bits.is_number_integer()) {
        malformed_field(concat(field, ".weights.num_bits"), bits, "an integer");
    }
    if (const Json& structure = member(weights, "block_structure"); !structure.is_null()) {
        config.tiles.push_back(tile_of(structure, concat(field, ".weights.block_structure")));
    }
    const int64_t width = bits.get<int64_t>();
    if (member(weights, "type") == "float"
        || (format != kPackedFormat && format != "mixed-precision")) {
        return;
    }
    // Releases disagree about the order of codes that do not divide a word (formats.md 5.3).
    if (!tensor::is_packable_width(width) || width == 3) {
        unsupported_field(concat(field, ".weights.num_bits"), std::to_string(width), "2, 4, 8");
    }
    config.packed_bits.insert(width);
}

} // namespace

CompressedConfig read_compressed_config(const Json& quantization_config)
{
    require_object(quantization_config);
    const Json& method = member(quantization_config, "quant_method");
    if (method != "compressed-tensors") {
        unsupported_field("quant_method",
            method.is_string() ? method.get<std::string>() : method.dump(), "compressed-tensors");
    }
    check_extras(quantization_config);
    const std::string format = format_of(quantization_config, "format", kPackedFormat);
    const Json& groups = member(quantization_config, "config_groups");
    if (!groups.is_object()) {
        malformed_field("config_groups", groups, "an object");
    }
    CompressedConfig config;
    const auto usual = std::exchange(config.tiles, {});
    for (const auto& [name, group] : groups.items()) {
        add_group(config, group, concat("config_groups.", name), format);
    }
    if (config.tiles.empty()) {
        config.tiles = usual;
    }
    return config;
}

} // namespace bitsmith::source
