// SPDX-License-Identifier: GPL-3.0-or-later
// quantization_config of compressed-tensors (formats.md 5.1, 5.2).
#include "base/text.h"
#include "source/compressed_layer.h"
#include "tensor/bit_pack.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

constexpr std::array<std::string_view, 9> kFormats = {"dense", "pack-quantized", "int-quantized",
    "float-quantized", "naive-quantized", "mxfp4-pack-quantized", "mxfp8-quantized",
    "nvfp4-pack-quantized", "mixed-precision"};
constexpr const char* kPackedFormat = "pack-quantized";
constexpr std::pair<int64_t, int64_t> kUsualTile = {128, 128};

[[noreturn]] void unsupported(
    const std::string& field, const std::string& found, const std::string& allowed)
{
    fail(ErrorCode::UnsupportedFormat, "this quantized checkpoint cannot be read",
        {{"field", concat("quantization_config.", field)}, {"found", printable(found)},
            {"allowed", allowed}});
}

[[noreturn]] void malformed(const std::string& field, const char* allowed)
{
    fail(ErrorCode::FileCorrupt, "quantization_config is malformed",
        {{"field", printable(concat("quantization_config.", field))}, {"allowed", allowed}});
}

/// The member, or null for one that is absent.
const Json& member(const Json& object, const char* key)
{
    static const Json none;
    const auto found = object.find(key);
    return found == object.end() ? none : *found;
}

/// The word under `key`, checked; `otherwise` when there is none.
std::string format_of(const Json& object, const std::string& field, const std::string& otherwise)
{
    const Json& value = member(object, "format");
    if (value.is_null()) {
        return otherwise;
    }
    const std::string word = value.is_string() ? value.get<std::string>() : value.dump();
    if (std::find(kFormats.begin(), kFormats.end(), word) == kFormats.end()) {
        unsupported(field, word, join({kFormats.begin(), kFormats.end()}, ", "));
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
            unsupported(key, value.dump(), "absent or empty");
        }
    }
}

void add_tile(CompressedConfig& config, const Json& structure, const std::string& field)
{
    const bool is_pair = structure.is_array() && structure.size() == 2
        && structure[0].is_number_integer() && structure[1].is_number_integer();
    if (!is_pair || structure[0].get<int64_t>() < 1 || structure[1].get<int64_t>() < 1) {
        malformed(concat(field, ".block_structure"), "two positive integers");
    }
    config.tiles.emplace_back(structure[0].get<int64_t>(), structure[1].get<int64_t>());
}

void add_group(CompressedConfig& config, const Json& group, const std::string& field,
    const std::string& common_format)
{
    if (!group.is_object()) {
        malformed(field, "an object");
    }
    const std::string format = format_of(group, concat(field, ".format"), common_format);
    const Json& weights = member(group, "weights");
    if (weights.is_null()) {
        return;
    }
    const Json& bits = weights.is_object() ? member(weights, "num_bits") : weights;
    if (!bits.is_number_integer()) {
        malformed(concat(field, ".weights.num_bits"), "an integer");
    }
    if (const Json& structure = member(weights, "block_structure"); !structure.is_null()) {
        add_tile(config, structure, concat(field, ".weights"));
    }
    const int64_t width = bits.get<int64_t>();
    if (member(weights, "type") == "float"
        || (format != kPackedFormat && format != "mixed-precision")) {
        return;
    }
    // Releases disagree about the order of codes that do not divide a word (formats.md 5.3).
    if (!tensor::is_packable_width(width) || width == 3) {
        unsupported(concat(field, ".weights.num_bits"), std::to_string(width), "2, 4, 8");
    }
    config.packed_bits.insert(width);
}

} // namespace

CompressedConfig read_compressed_config(const Json& quantization_config)
{
    if (!quantization_config.is_object()) {
        fail(ErrorCode::FileCorrupt, "quantization_config is not an object");
    }
    const Json& method = member(quantization_config, "quant_method");
    if (method != "compressed-tensors") {
        unsupported("quant_method", method.is_string() ? method.get<std::string>() : method.dump(),
            "compressed-tensors");
    }
    check_extras(quantization_config);
    const std::string format = format_of(quantization_config, "format", kPackedFormat);
    const Json& groups = member(quantization_config, "config_groups");
    if (!groups.is_object()) {
        malformed("config_groups", "an object");
    }
    CompressedConfig config;
    for (const auto& [name, group] : groups.items()) {
        add_group(config, group, concat("config_groups.", name), format);
    }
    if (config.tiles.empty()) {
        config.tiles.push_back(kUsualTile);
    }
    return config;
}

} // namespace bitsmith::source
