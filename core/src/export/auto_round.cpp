// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_round.h"

#include "base/text.h"
#include "export/auto_round_layout.h"
#include "export/config_writer.h"
#include "tensor/safetensors_writer.h"

#include <bitsmith/version.h>

#include <numeric>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kOtherFilesBytes = 1LL << 20;

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
    return concat("With transformers and the package `auto-round`:\n\n```python\n",
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n",
        "model = AutoModelForCausalLM.from_pretrained(\"path/to/", name, "\")\n",
        "tokenizer = AutoTokenizer.from_pretrained(\"path/to/", name, "\")\n```");
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
    if (!fs::is_regular_file(exported / "config.json")) {
        return false;
    }
    const Json config = read_json_file(exported / "config.json");
    if (!config.is_object() || !config.contains("quantization_config")) {
        return false;
    }
    const Json& quantization = config["quantization_config"];
    return quantization.is_object() && quantization.contains("quant_method")
        && quantization["quant_method"] == "auto-round";
}

int64_t AutoRoundExporter::estimate_bytes(const ExportInput& input) const
{
    int64_t bytes = kOtherFilesBytes;
    for (const tensor::TensorEntry& entry : auto_round_layout(input).entries()) {
        bytes += entry.bytes + 256; // and its line in the header
    }
    for (const source::SideFile& side : input.model.side_files) {
        bytes += static_cast<int64_t>(side.bytes.size());
    }
    return bytes;
}

std::vector<std::string> AutoRoundExporter::notes(const ExportInput& input) const
{
    std::vector<std::string> notes;
    if (input.model.kind == "gguf") {
        notes.push_back(
            concat("the source is a GGUF: tensors that are not quantized are written as ",
                at::toString(float_type(input.model)), "."));
    }
    const AutoRoundLayout layout = auto_round_layout(input);
    if (layout.unties_head) {
        notes.emplace_back("the output head is quantized and therefore no longer tied to the "
                           "embedding; the file holds both.");
    }
    if (layout.offset == tensor::ZeroOffset::Plain) {
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
    tensor::ShardedWriter writer(
        fs, folder, layout.entries(), static_cast<int64_t>(input.spec.exports.max_shard_gb * 1e9));
    const auto total = static_cast<int64_t>(layout.tensors.size());
    for (int64_t i = 0; i < total; ++i) {
        context.checkpoint();
        const AutoRoundTensor& tensor = layout.tensors[static_cast<std::size_t>(i)];
        writer.write(tensor.name, packer.produce(tensor));
        context.events.emit(StageProgress{Stage::Export, i + 1, total, "tensors"});
    }
    writer.finish();

    const Json quantization = auto_round_config(input);
    write_side_files(fs, input.model, folder);
    write_text(fs, folder / "quantization_config.json", quantization.dump(2) + "\n");
    write_text(fs, folder / "README.md",
        model_card(input, *this, {"transformers", how_to_load(model_name(input.model))}));
    // Last: without a config.json nothing takes the folder for a model.
    write_text(fs, folder / "config.json",
        exported_config(input.model, quantization, layout.unties_head).dump(2) + "\n");
}

} // namespace bitsmith::exporting
