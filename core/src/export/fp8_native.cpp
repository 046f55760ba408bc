// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/fp8_native.h"

#include "export/folder_verify.h"
#include "export/fp8_native_layout.h"

#include <map>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kBytesPerTensor = 384; ///< its line in the header, and its name in config.json

/// "3 layers, the first of them model.layers.0.mlp.up_proj".
std::string some_of(const std::vector<std::string>& layers)
{
    return layers.size() == 1
        ? concat("layer ", layers.front())
        : concat(layers.size(), " layers, the first of them ", layers.front());
}

std::vector<std::string> ragged_layers(const Plan& plan)
{
    std::vector<std::string> names;
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.scheme.is_quantized()
            && (layer.rows % kFp8Tile != 0 || layer.columns % kFp8Tile != 0)) {
            names.push_back(layer.name);
        }
    }
    return names;
}

/// Units of layers that runtimes join, of which some layers are quantized and some are not.
std::vector<std::string> split_units(const ExportInput& input)
{
    std::map<std::string, std::pair<bool, bool>> states; // has a kept layer, has a quantized one
    for (const LayerInfo& layer : input.model.info.layers) {
        const PlannedLayer* planned = input.plan.find(layer.name);
        const bool is_quantized = planned != nullptr && planned->scheme.is_quantized();
        auto& [has_kept, has_quantized] = states[layer.unit];
        has_kept = has_kept || !is_quantized;
        has_quantized = has_quantized || is_quantized;
    }
    states.erase("");
    std::vector<std::string> units;
    for (const auto& [unit, state] : states) {
        if (state.first && state.second) {
            units.push_back(unit);
        }
    }
    return units;
}

} // namespace

Json fp8_native_config(const ExportInput& input)
{
    const Scheme& scheme = fp8_scheme(input.plan);
    Json config = {{"quant_method", "fp8"}, {"fmt", "e4m3"},
        {"activation_scheme", scheme.act_dynamic ? "dynamic" : "static"}};
    if (scheme.group_rows > 1) {
        config["weight_block_size"] = {kFp8Tile, kFp8Tile};
    }
    config["modules_to_not_convert"] = kept_layers(input);
    return config;
}

FormatInfo Fp8NativeExporter::info() const
{
    return {"fp8", "Native FP8 (vLLM, SGLang, transformers)",
        "FP8_BLOCK, or FP8 with one scale per tensor; one scheme for all layers",
        "folder: config.json, safetensors shards with FP8 layers, tokenizer and side files",
        {"vLLM", "SGLang", "transformers"}};
}

std::string Fp8NativeExporter::refusal(const Scheme& scheme) const
{
    if (!scheme.is_quantized()) {
        return {};
    }
    if (scheme.data_type != DataType::Fp8) {
        return concat("fp8 holds E4M3 numbers, not ", enum_name(scheme.data_type), " codes");
    }
    const bool is_tiled = scheme.group_rows == kFp8Tile && scheme.group_size == kFp8Tile;
    if (!is_tiled && (scheme.group_rows != 1 || scheme.group_size != kGroupPerTensor)) {
        return "fp8 has a scale per tile of 128 x 128 or per tensor; llm_compressor has them per "
               "row";
    }
    if (!scheme.quantizes_activations() || scheme.act_data_type != DataType::Fp8
        || scheme.act_bits != 8 || !scheme.act_sym) {
        return "fp8 has FP8 activations beside the weights: runtimes round them";
    }
    if (is_tiled) {
        return scheme.act_dynamic && scheme.act_group_size == kFp8Tile
            ? ""
            : "fp8 tiles want activations in groups of 128, scaled at run time";
    }
    const int64_t act_group = scheme.act_dynamic ? kGroupPerRow : kGroupPerTensor;
    return scheme.act_group_size == act_group
        ? ""
        : "fp8 with a scale per tensor wants activations per token at run time, or per tensor with "
          "calibrated scales";
}

std::string Fp8NativeExporter::plan_refusal(const Plan& plan) const
{
    return mixed_refusal(plan, id());
}

bool Fp8NativeExporter::recognizes(const fs::path& exported) const
{
    return has_quant_method(exported, "fp8");
}

int64_t Fp8NativeExporter::estimate_bytes(const ExportInput& input) const
{
    return folder_bytes(input, entries_of(fp8_layout(input)), kBytesPerTensor);
}

std::vector<std::string> Fp8NativeExporter::notes(const ExportInput& input) const
{
    std::vector<std::string> notes = folder_notes(input);
    if (fp8_scheme(input.plan).group_rows == 1) {
        notes.emplace_back(
            "vLLM and SGLang round layers that they join (q/k/v, gate/up) again to the largest of "
            "their scales.");
    } else if (const auto ragged = ragged_layers(input.plan); !ragged.empty()) {
        notes.push_back(concat("the sides of ", some_of(ragged),
            " are no multiples of 128: kernels may refuse the tiles at the edge, and transformers "
            "decodes them wrongly or not at all where a side is longer than 128."));
    }
    if (const auto units = split_units(input); !units.empty()) {
        notes.push_back(concat("vLLM and SGLang join the layers of ", join(units, ", "),
            ", of which only some are quantized: they refuse such a model, transformers reads "
            "it."));
    }
    if (quantizes_head(input.plan)) {
        notes.emplace_back("the output head is FP8, which vLLM and SGLang do not expect.");
    }
    return notes;
}

CardText Fp8NativeExporter::card_text(const ExportInput& input) const
{
    return {"transformers",
        vllm_or_transformers(
            *this, input, ", which decodes the weights where there is no GPU for FP8")};
}

void Fp8NativeExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    Fp8Packer packer(input);
    write_tensors(context, fs, input, folder, fp8_layout(input), packer);
    write_other_files(fs, *this, input, folder, fp8_native_config(input));
}

std::vector<std::string> Fp8NativeExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    return verify_folder(folder, input, [&](const Reopened& opened) {
        Fp8Packer packer(*input);
        return compare_folder(opened, fp8_native_config(*input), fp8_layout(*input), packer);
    });
}

} // namespace bitsmith::exporting
