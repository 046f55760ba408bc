// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_gptq.h"

#include "base/text.h"
#include "export/config_writer.h"
#include "export/folder_verify.h"
#include "export/joined_layers.h"
#include "export/packed_int.h"

#include <bitsmith/version.h>

#include <algorithm>
#include <set>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kBytesPerTensor = 256; ///< its line in the header
constexpr std::string_view kDtype = "float16"; ///< of scales, and of what kernels compute with

PackedIntStyle style_of(const Plan& plan)
{
    PackedIntStyle style{"auto_gptq"};
    style.has_group_index = true;
    style.offset =
        has_asymmetric_layers(plan) ? tensor::ZeroOffset::Plain : tensor::ZeroOffset::MinusOne;
    return style;
}

Json fields_of(const Scheme& scheme)
{
    return {{"bits", scheme.bits}, {"group_size", scheme.group_size}, {"sym", scheme.sym}};
}

Json exceptions(const ExportInput& input, const Scheme& common)
{
    Json rules = Json::object(); // by layer; empty for those that are kept
    for (const PlannedLayer& layer : input.plan.layers) {
        const bool is_usual = layer.block_index >= 0 && layer.scheme == common;
        if (layer.scheme.is_quantized() && !is_usual) {
            rules[layer.name] = fields_of(layer.scheme);
        }
    }
    for (const std::string& name : kept_layers(input)) {
        if (name != input.model.spec.model_names.head) { // `lm_head` says it
            rules[name] = Json::object();
        }
    }
    rules = with_joined_rules(input.model.info, std::move(rules));
    Json dynamic = Json::object();
    for (const auto& [name, rule] : rules.items()) {
        dynamic[concat(rule.empty() ? "-:^" : "+:^", escaped(name), "$")] = rule;
    }
    return dynamic;
}

/// "model.layers.3.mlp.up_proj" -> "mlp.up_proj".
std::string name_in_block(const LayerInfo& layer)
{
    const std::string number = concat(".", layer.block_index, ".");
    const std::size_t found = layer.name.find(number);
    return found == std::string::npos ? layer.name : layer.name.substr(found + number.size());
}

/// Names within a block that any block quantizes, when others are quantized in none: readers that know
/// no `dynamic` need that. Otherwise empty.
std::set<std::string> quantized_in_blocks(const ExportInput& input)
{
    std::set<std::string> quantized, all;
    for (const LayerInfo& layer : input.model.info.layers) {
        if (layer.block_index < 0) {
            continue;
        }
        const std::string name = name_in_block(layer);
        all.insert(name);
        const PlannedLayer* planned = input.plan.find(layer.name);
        if (planned != nullptr && planned->scheme.is_quantized()) {
            quantized.insert(name);
        }
    }
    return quantized == all ? std::set<std::string>() : quantized;
}

} // namespace

Json auto_gptq_config(const ExportInput& input)
{
    const Scheme common = common_scheme(input.plan);
    const bool is_v1 = style_of(input.plan).offset == tensor::ZeroOffset::MinusOne;
    Json config = fields_of(common);
    config.update({{"quant_method", "gptq"}, {"checkpoint_format", is_v1 ? "gptq" : "gptq_v2"},
        {"desc_act", false}, {"static_groups", false}, {"true_sequential", false},
        {"damp_percent", 0.01}, {"lm_head", quantizes_head(input.plan)}, {"pack_dtype", "int32"},
        {"data_type", "int"}, {"provider", concat("bitsmith ", BITSMITH_VERSION)}});
    if (const Json dynamic = exceptions(input, common); !dynamic.empty()) {
        config["dynamic"] = dynamic;
    }
    if (const auto names = quantized_in_blocks(input); !names.empty()) {
        config["modules_in_block_to_quantize"] = Json::array({names});
    }
    return config;
}

FormatInfo AutoGptqExporter::info() const
{
    return {"auto_gptq", "GPTQ (GPTQModel, transformers, vLLM, SGLang)",
        "integer weights of 2, 3, 4 or 8 bits, symmetric or asymmetric, any group size or one "
        "group per row",
        "folder: config.json, quantize_config.json, safetensors shards with packed layers, "
        "tokenizer and side files",
        {"vLLM", "SGLang", "GPTQModel", "transformers"}};
}

std::string AutoGptqExporter::refusal(const Scheme& scheme) const
{
    return scheme.is_quantized() ? packed_int_refusal(scheme, {"auto_gptq"}) : "";
}

std::string AutoGptqExporter::shape_refusal(const PlannedLayer& layer) const
{
    return packed_shape_refusal(layer, {"auto_gptq"});
}

bool AutoGptqExporter::recognizes(const fs::path& exported) const
{
    return has_quant_method(exported, "gptq");
}

int64_t AutoGptqExporter::estimate_bytes(const ExportInput& input) const
{
    return folder_bytes(
        input, entries_of(packed_int_layout(input, style_of(input.plan))), kBytesPerTensor);
}

std::vector<std::string> AutoGptqExporter::notes(const ExportInput& input) const
{
    std::vector<std::string> notes = folder_notes(input, kDtype);
    if (has_asymmetric_layers(input.plan)) {
        notes.emplace_back(
            "asymmetric layers make it checkpoint_format 'gptq_v2', which GPTQModel and llama.cpp "
            "read; older readers take it for 'gptq' and compute with wrong zero points.");
    }
    return notes;
}

CardText AutoGptqExporter::card_text(const ExportInput& input) const
{
    return {"transformers", vllm_or_transformers(*this, input, " and the package `gptqmodel`")};
}

void AutoGptqExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    const PackedIntStyle style = style_of(input.plan);
    PackedIntPacker packer(input, style);
    write_tensors(context, fs, input, folder, packed_int_layout(input, style), packer);
    const Json quantization = auto_gptq_config(input);
    write_text(fs, folder / "quantize_config.json", quantization.dump(2) + "\n");
    write_other_files(fs, *this, input, folder, quantization, kDtype);
}

std::vector<std::string> AutoGptqExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    return verify_folder(folder, input, [&](const Reopened& opened) {
        const PackedIntStyle style = style_of(input->plan);
        PackedIntPacker packer(*input, style);
        return compare_folder(
            opened, auto_gptq_config(*input), packed_int_layout(*input, style), packer);
    });
}

} // namespace bitsmith::exporting
