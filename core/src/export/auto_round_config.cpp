// SPDX-License-Identifier: GPL-3.0-or-later
// How config.json describes an auto_round folder.
#include "base/text.h"
#include "export/auto_round.h"
#include "export/auto_round_layout.h"
#include "export/joined_layers.h"

#include <bitsmith/version.h>

namespace bitsmith::exporting {

namespace {

/// The reference's word for the numbers of weights.
const char* weight_word(DataType type)
{
    switch (type) {
    case DataType::MxFp:
        return "mx_fp";
    case DataType::MxFpRceil:
        return "mx_fp_rceil";
    case DataType::MxInt:
        return "mx_int";
    case DataType::NvFp:
        return "nv_fp";
    case DataType::NvFpE5m3:
        return "nvfp4_v2";
    case DataType::Fp8:
        return "fp";
    default:
        return "int";
    }
}

const char* activation_word(const Scheme& scheme)
{
    if (!scheme.quantizes_activations()) {
        return "float";
    }
    // The scale of the tensor is calibrated, those of groups follow from the input.
    return scheme.act_data_type == DataType::NvFp ? "nv_fp4_with_static_gs"
                                                  : weight_word(scheme.act_data_type);
}

Json weight_fields(const Scheme& scheme)
{
    Json fields = {{"bits", scheme.bits}, {"group_size", scheme.group_size}, {"sym", scheme.sym},
        {"data_type", weight_word(scheme.data_type)}};
    if (scheme.group_rows > 1) {
        fields["group_size"] = {scheme.group_rows, scheme.group_size};
    }
    return fields;
}

Json activation_fields(const Scheme& scheme)
{
    const bool has = scheme.quantizes_activations();
    return {{"act_bits", has ? scheme.act_bits : 16},
        {"act_group_size", has ? scheme.act_group_size : scheme.group_size},
        {"act_sym", has ? scheme.act_sym : scheme.sym}, {"act_data_type", activation_word(scheme)},
        {"act_dynamic", scheme.act_dynamic}};
}

/// Activations of 16 bits are left out, as the reference does.
Json scheme_fields(const Scheme& scheme)
{
    Json fields = weight_fields(scheme);
    if (scheme.quantizes_activations()) {
        fields.update(activation_fields(scheme));
    }
    return fields;
}

/// A layer outside the blocks has to be described completely.
Json full_rule(const Scheme& scheme)
{
    Json rule = weight_fields(scheme);
    rule.update(activation_fields(scheme));
    return rule;
}

Json kept_rule(const Scheme& common)
{
    Json rule = {{"bits", 16}, {"data_type", "float"}};
    if (common.quantizes_activations()) {
        rule["act_bits"] = 16;
    }
    return rule;
}

/// Only what differs from the common scheme; empty when nothing does.
Json rule_for(const Scheme& scheme, const Scheme& common)
{
    const Json usual = scheme_fields(common), own = scheme_fields(scheme);
    Json rule = Json::object();
    for (const auto& [key, value] : own.items()) {
        if (usual[key] != value) {
            rule[key] = value;
        }
    }
    return rule;
}

Json extra_config(const ExportInput& input, const Scheme& common)
{
    Json rules = Json::object();
    // Every linear weight inside a block that is not planned would be expected in packed form.
    for (const LayerInfo& layer : input.model.info.layers) {
        if (layer.block_index >= 0 && input.plan.find(layer.name) == nullptr) {
            rules[layer.name] = kept_rule(common);
        }
    }
    for (const PlannedLayer& layer : input.plan.layers) {
        if (layer.block_index < 0) {
            if (layer.scheme.is_quantized()) {
                rules[layer.name] = full_rule(layer.scheme);
            }
        } else if (!layer.scheme.is_quantized()) {
            rules[layer.name] = kept_rule(common);
        } else if (Json rule = rule_for(layer.scheme, common); !rule.empty()) {
            rules[layer.name] = std::move(rule);
        }
    }
    return with_joined_rules(input.model.info, std::move(rules));
}

/// "model.layers.{i}." -> "model.layers".
std::string block_prefix(const source::ModelSource& model)
{
    const std::string& block = model.spec.model_names.block;
    const std::size_t index = block.find(".{i}");
    return index == std::string::npos ? block : block.substr(0, index);
}

void add_recipe(Json& config, const Recipe& recipe)
{
    config["iters"] = recipe.iters;
    config["nsamples"] = recipe.nsamples;
    config["seqlen"] = recipe.seqlen;
    config["batch_size"] = recipe.batch_size;
    config["enable_quanted_input"] = recipe.enable_quanted_input;
    config["enable_minmax_tuning"] = recipe.enable_minmax_tuning;
}

/// What readers of FP8 ask for besides.
void add_fp8_fields(Json& config, const ExportInput& input, const Scheme& common)
{
    config["fmt"] = "e4m3";
    config["activation_scheme"] = common.act_dynamic ? "dynamic" : "static";
    if (common.group_rows > 1) {
        config["weight_block_size"] = config["group_size"];
        config["ignored_layers"] = kept_layers(input);
        config["enable_quanted_input"] = false; // vLLM refuses tiles otherwise
    }
}

} // namespace

Json auto_round_config(const ExportInput& input)
{
    const AutoRoundPackingInfo& packing = packing_info(auto_round_packing(input.plan));
    const Scheme common = common_scheme(input.plan);
    Json config = scheme_fields(common);
    config["quant_method"] = "auto-round";
    config["packing_format"] = packing.word;
    add_recipe(config, input.spec.recipe);
    if (common.data_type == DataType::Fp8) {
        add_fp8_fields(config, input, common);
    }
    config["block_name_to_quantize"] = block_prefix(input.model);
    const Json extra = extra_config(input, common);
    if (!extra.empty()) {
        config["extra_config"] = extra;
    }
    config["provider"] = concat("bitsmith ", BITSMITH_VERSION);
    return config;
}

} // namespace bitsmith::exporting
