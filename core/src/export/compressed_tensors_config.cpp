// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/compressed_tensors_config.h"

#include "base/text.h"
#include "export/folder_format.h"
#include "export/joined_layers.h"

#include <bitsmith/version.h>

#include <algorithm>

namespace bitsmith::exporting {

namespace {

/// Release of compressed-tensors whose definitions are followed.
constexpr const char* kLibraryVersion = "0.15.0";
constexpr const char* kMixedFormat = "mixed-precision";

/// QuantizationArgs; readers refuse keys that they do not know, so there are no others.
Json args_of(int64_t bits, bool is_float, bool sym, const char* strategy)
{
    return {{"num_bits", bits}, {"type", is_float ? "float" : "int"}, {"symmetric", sym},
        {"strategy", strategy}, {"group_size", nullptr}, {"dynamic", false}};
}

/// Element type of scales, which readers expect to be named for MX and NVFP4 only.
void name_scale_type(Json& args, CompressedFormat format)
{
    if (format == CompressedFormat::MxFp4 || format == CompressedFormat::MxFp8) {
        args["scale_dtype"] = "torch.uint8";
    } else if (format == CompressedFormat::NvFp4) {
        args["scale_dtype"] = "torch.float8_e4m3fn";
    }
}

const char* weight_strategy(const Scheme& scheme, int64_t columns)
{
    if (scheme.group_rows > 1) {
        return "block";
    }
    if (scheme.data_type == DataType::NvFp) {
        return "tensor_group";
    }
    if (scheme.group_size == kGroupPerTensor) {
        return "tensor";
    }
    return has_row_scale(scheme, columns) ? "channel" : "group";
}

Json weight_args(const Scheme& scheme, int64_t columns)
{
    const std::string_view strategy = weight_strategy(scheme, columns);
    Json args =
        args_of(scheme.bits, scheme.data_type != DataType::Int, scheme.sym, strategy.data());
    if (strategy == "block") {
        args["block_structure"] = {scheme.group_rows, scheme.group_size};
    } else if (strategy.ends_with("group")) {
        args["group_size"] = scheme.group_size;
    }
    name_scale_type(args, compressed_format(scheme));
    return args;
}

/// Null when activations stay as they are.
Json activation_args(const Scheme& scheme)
{
    if (!scheme.quantizes_activations()) {
        return nullptr;
    }
    const bool has_groups = scheme.act_group_size > 0;
    const bool is_nv = scheme.act_data_type == DataType::NvFp;
    const char* strategy = !scheme.act_dynamic ? "tensor"
        : is_nv                                ? "tensor_group"
        : has_groups                           ? "group"
                                               : "token";
    Json args =
        args_of(scheme.act_bits, scheme.act_data_type != DataType::Int, scheme.act_sym, strategy);
    if (has_groups) {
        args["group_size"] = scheme.act_group_size;
    }
    // Only the scales of groups follow from the input; the one of the tensor is calibrated.
    args["dynamic"] = is_nv ? Json("local") : Json(scheme.act_dynamic);
    name_scale_type(args, compressed_format(scheme));
    return args;
}

struct Group
{
    Json description; ///< without targets
    std::vector<std::string> layers;
};

/// In the order in which the plan first has a layer of each.
std::vector<Group> groups_of(const Plan& plan)
{
    std::vector<Group> groups;
    for (const PlannedLayer& layer : plan.layers) {
        if (!layer.scheme.is_quantized()) {
            continue;
        }
        const Json description = {{"weights", weight_args(layer.scheme, layer.columns)},
            {"input_activations", activation_args(layer.scheme)}, {"output_activations", nullptr},
            {"format", format_word(compressed_format(layer.scheme))}};
        auto group = std::find_if(groups.begin(), groups.end(),
            [&](const Group& known) { return known.description == description; });
        if (group == groups.end()) {
            group = groups.insert(groups.end(), {description, {}});
        }
        group->layers.push_back(layer.name);
    }
    for (Group& group : groups) {
        std::sort(group.layers.begin(), group.layers.end());
    }
    return groups;
}

Json config_groups(const ModelInfo& model, const std::vector<Group>& groups)
{
    Json config = Json::object();
    for (std::size_t i = 0; i < groups.size(); ++i) {
        Json group = {{"targets", Json::array({"Linear"})}};
        if (groups.size() > 1) {
            group["targets"] = with_joined_targets(model, groups[i].layers);
        }
        group.update(groups[i].description);
        config[concat("group_", i)] = std::move(group);
    }
    return config;
}

std::string common_format(const std::vector<Group>& groups)
{
    if (groups.empty()) {
        return "dense";
    }
    const Json& first = groups.front().description["format"];
    const bool is_common = std::all_of(groups.begin(), groups.end(),
        [&](const Group& group) { return group.description["format"] == first; });
    return is_common ? first.get<std::string>() : kMixedFormat;
}

} // namespace

bool has_row_scale(const Scheme& scheme, int64_t columns)
{
    return scheme.group_size == kGroupPerRow || columns < scheme.group_size;
}

Json compressed_tensors_config(const ExportInput& input)
{
    const std::vector<Group> groups = groups_of(input.plan);
    const bool has_cache = input.spec.recipe.static_kv_dtype == CacheType::Fp8;
    return {{"quant_method", "compressed-tensors"}, {"format", common_format(groups)},
        {"quantization_status", "compressed"}, {"global_compression_ratio", nullptr},
        {"kv_cache_scheme", has_cache ? args_of(8, true, true, "tensor") : Json()},
        {"ignore", with_joined_layers(input.model.info, kept_layers(input))},
        {"config_groups", config_groups(input.model.info, groups)},
        {"sparsity_config", Json::object()}, {"transform_config", Json::object()},
        {"version", kLibraryVersion}, {"provider", concat("bitsmith ", BITSMITH_VERSION)}};
}

} // namespace bitsmith::exporting
