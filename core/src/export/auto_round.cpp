// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_round.h"

#include "base/text.h"
#include "export/auto_round_layout.h"
#include "export/config_writer.h"

#include <bitsmith/version.h>

#include <numeric>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kBytesPerTensor = 256; ///< its line in the header

/// The scheme that most layers of the blocks have; the first of equals. It stands in the
/// configuration once, all others are exceptions.
Scheme common_scheme(const Plan& plan)
{
    std::vector<std::pair<Scheme, int64_t>> counts;
    for (const PlannedLayer& layer : plan.layers) {
        if (!layer.scheme.is_quantized() || layer.block_index < 0) {
            continue;
        }
        const auto same = std::find_if(counts.begin(), counts.end(),
            [&](const auto& entry) { return entry.first == layer.scheme; });
        if (same == counts.end()) {
            counts.emplace_back(layer.scheme, 1);
        } else {
            ++same->second;
        }
    }
    const auto most = std::max_element(counts.begin(), counts.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == counts.end() ? Scheme() : most->first;
}

Json full_scheme(const Scheme& scheme)
{
    return {{"bits", scheme.bits}, {"group_size", scheme.group_size}, {"sym", scheme.sym},
        {"data_type", "int"}, {"act_bits", 16}, {"act_group_size", scheme.group_size},
        {"act_sym", scheme.sym}, {"act_data_type", "float"}, {"act_dynamic", true}};
}

Json kept_rule()
{
    return {{"bits", 16}, {"data_type", "float"}};
}

/// Only what differs from the common scheme; empty when nothing does.
Json rule_for(const Scheme& scheme, const Scheme& common)
{
    Json rule = Json::object();
    if (scheme.bits != common.bits) {
        rule["bits"] = scheme.bits;
    }
    if (scheme.group_size != common.group_size) {
        rule["group_size"] = scheme.group_size;
    }
    if (scheme.sym != common.sym) {
        rule["sym"] = scheme.sym;
    }
    return rule;
}

Json extra_config(const ExportInput& input, const Scheme& common)
{
    Json rules = Json::object();
    // Every linear weight inside a block that is not planned would be expected in packed form.
    for (const LayerInfo& layer : input.model.info.layers) {
        if (layer.block_index >= 0 && input.plan.find(layer.name) == nullptr) {
            rules[layer.name] = kept_rule();
        }
    }
    for (const PlannedLayer& layer : input.plan.layers) {
        if (layer.block_index < 0) {
            if (layer.scheme.is_quantized()) {
                rules[layer.name] = full_scheme(layer.scheme);
            }
        } else if (!layer.scheme.is_quantized()) {
            rules[layer.name] = kept_rule();
        } else if (Json rule = rule_for(layer.scheme, common); !rule.empty()) {
            rules[layer.name] = std::move(rule);
        }
    }
    return rules;
}

/// "model.layers.{i}." -> "model.layers".
std::string block_prefix(const source::ModelSource& model)
{
    const std::string& block = model.spec.model_names.block;
    const std::size_t index = block.find(".{i}");
    return index == std::string::npos ? block : block.substr(0, index);
}

std::string how_to_load(const std::string& name)
{
    return concat(
        "With transformers and the package `auto-round`:\n\n", transformers_example(name));
}

} // namespace

Json auto_round_config(const ExportInput& input)
{
    const Scheme common = common_scheme(input.plan);
    const AutoRoundLayout layout = auto_round_layout(input);
    Json config = {{"quant_method", "auto-round"},
        {"packing_format",
            layout.offset == tensor::ZeroOffset::Plain ? "auto_round" : "auto_round:auto_gptq"},
        {"bits", common.bits}, {"group_size", common.group_size}, {"sym", common.sym},
        {"data_type", "int"}};
    const Recipe& recipe = input.spec.recipe;
    config["iters"] = recipe.iters;
    config["nsamples"] = recipe.nsamples;
    config["seqlen"] = recipe.seqlen;
    config["batch_size"] = recipe.batch_size;
    config["enable_quanted_input"] = recipe.enable_quanted_input;
    config["enable_minmax_tuning"] = recipe.enable_minmax_tuning;
    config["block_name_to_quantize"] = block_prefix(input.model);
    const Json extra = extra_config(input, common);
    if (!extra.empty()) {
        config["extra_config"] = extra;
    }
    config["provider"] = concat("bitsmith ", BITSMITH_VERSION);
    return config;
}

FormatInfo AutoRoundExporter::info() const
{
    return {"auto_round", "AutoRound (transformers, vLLM, SGLang)",
        "integer weights of 2, 3, 4 or 8 bits, symmetric or asymmetric, any group size or one "
        "group "
        "per row",
        "folder: config.json, safetensors shards with packed layers, tokenizer and side files"};
}

std::string AutoRoundExporter::refusal(const Scheme& scheme) const
{
    if (!scheme.is_quantized()) {
        return {};
    }
    if (scheme.data_type != DataType::Int) {
        return concat(
            "auto_round holds integer codes, not ", enum_name(scheme.data_type), " codes");
    }
    if (!tensor::is_packable_width(scheme.bits)) {
        return concat("auto_round packs 2, 3, 4 or 8 bits, not ", scheme.bits);
    }
    if (scheme.act_bits < 16) {
        return "auto_round holds integer weights only with 16-bit activations";
    }
    if (scheme.group_size != kGroupPerRow && scheme.group_size < 1) {
        return "auto_round has a scale per group or row, not one per tensor";
    }
    return {};
}

std::string AutoRoundExporter::model_refusal(const ModelInfo&) const
{
    return {};
}

bool AutoRoundExporter::recognizes(const fs::path& exported) const
{
    return has_quant_method(exported, "auto-round");
}

int64_t AutoRoundExporter::estimate_bytes(const ExportInput& input) const
{
    return folder_bytes(input, entries_of(auto_round_layout(input).tensors), kBytesPerTensor);
}

std::vector<std::string> AutoRoundExporter::notes(const ExportInput& input) const
{
    std::vector<std::string> notes = folder_notes(input);
    if (auto_round_layout(input).offset == tensor::ZeroOffset::Plain) {
        notes.emplace_back(
            "asymmetric layers use the packing 'auto_round', which transformers with "
            "the package auto-round reads and vLLM and SGLang do not.");
    }
    return notes;
}

void AutoRoundExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    const AutoRoundLayout layout = auto_round_layout(input);
    AutoRoundPacker packer(input, layout);
    write_tensors(context, fs, input, folder, layout.tensors, packer);
    const Json quantization = auto_round_config(input);
    write_text(fs, folder / "quantization_config.json", quantization.dump(2) + "\n");
    write_other_files(fs, *this, input, folder, quantization, how_to_load(model_name(input.model)));
}

} // namespace bitsmith::exporting
