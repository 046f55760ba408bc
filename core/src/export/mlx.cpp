// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/mlx.h"

#include "export/config_writer.h"
#include "export/mlx_config.h"
#include "export/mlx_layout.h"
#include "export/model_card.h"

#include <set>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

/// Its line in the header, and its rule twice in config.json.
constexpr int64_t kBytesPerTensor = 512;

std::string how_to_load(const std::string& name)
{
    return concat("With mlx-lm on Apple silicon:\n\n```sh\nmlx_lm.generate --model path/to/", name,
        " --prompt \"Once upon a time\"\n```");
}

std::string int_refusal(const Scheme& scheme)
{
    if (scheme.bits < 2 || scheme.bits == 7 || scheme.bits > 8) {
        return concat("mlx has integers of 2, 3, 4, 5, 6 and 8 bits, not of ", scheme.bits);
    }
    const bool has_group = scheme.group_rows == 1
        && (scheme.group_size == 32 || scheme.group_size == 64 || scheme.group_size == 128);
    return has_group ? "" : "mlx has groups of 32, 64 or 128 columns";
}

std::string mx_refusal(const Scheme& scheme)
{
    return (scheme.bits == 4 || scheme.bits == 8) && scheme.group_size == 32
        ? ""
        : "mlx has MXFP4 and MXFP8 with a scale per 32 columns";
}

/// How weights differ from the tuned ones because scales and offsets are rounded; empty when they
/// do not.
std::string rounding_note(const ExportInput& input)
{
    std::set<std::string> types;
    bool has_offsets = false;
    double largest = 0;
    for (const PlannedLayer& layer : input.plan.layers) {
        if (!layer.scheme.is_quantized() || mlx_mode(layer.scheme) != "affine") {
            continue;
        }
        const c10::ScalarType type = value_type(input.model, layer);
        // Scales and minima are fp16 numbers, and a symmetric zero point is a power of two.
        const bool is_exact = layer.scheme.sym || layer.scheme.data_type == DataType::IntFloatZero;
        if (type == at::kBFloat16 || (type == at::kHalf && !is_exact)) {
            types.insert(at::toString(type));
            largest = std::max(largest, rounding_of(type));
            has_offsets = has_offsets || !layer.scheme.sym;
        }
    }
    if (types.empty()) {
        return {};
    }
    // Scale and offset of an asymmetric group are rounded apart from each other.
    const auto share = static_cast<int64_t>(1 / (has_offsets ? 2 * largest : largest));
    return concat("scales and offsets are rounded to ", join({types.begin(), types.end()}, " or "),
        ", the type that mlx computes in: weights differ from the tuned ones by up to 1/", share,
        has_offsets ? " of the range of their group." : " of themselves.");
}

/// Tokens that the model attends to where mlx-lm attends to all; 0: they do the same.
int64_t shortest_ignored_window(const ExportInput& input)
{
    int64_t window = 0;
    for (const model::BlockSpec& block : input.model.spec.blocks) {
        if (block.attention.mask == model::MaskKind::Sliding
            && (window == 0 || block.attention.window < window)) {
            window = block.attention.window;
        }
    }
    return mlx_has_windows(input.model.spec.model_type) ? 0 : window;
}

} // namespace

FormatInfo MlxExporter::info() const
{
    return {"mlx", "MLX (mlx-lm on Apple silicon)",
        "integer weights of 2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128; MXFP4A16, MXFP8A16",
        "folder: config.json, safetensors shards with packed layers, tokenizer and side files",
        {"mlx-lm"}};
}

std::string MlxExporter::refusal(const Scheme& scheme) const
{
    if (!scheme.is_quantized()) {
        return {};
    }
    if (scheme.quantizes_activations()) {
        return "mlx computes with activations as they are";
    }
    switch (scheme.data_type) {
    case DataType::Int:
    case DataType::IntFloatZero:
        return int_refusal(scheme);
    case DataType::MxFp:
    case DataType::MxFpRceil: // the bytes of weights do not tell how they were rounded
        return mx_refusal(scheme);
    case DataType::NvFp:
        return "mlx has NVFP4 without the scale per tensor that these weights are tuned with";
    default:
        return concat("mlx does not have ", enum_name(scheme.data_type), " codes");
    }
}

std::string MlxExporter::shape_refusal(const PlannedLayer& layer) const
{
    return mlx_group_refusal(layer.columns, layer.scheme.group_size);
}

std::string MlxExporter::model_refusal(const ModelInfo& model) const
{
    return mlx_type_refusal(model.model_type);
}

bool MlxExporter::recognizes(const fs::path& exported) const
{
    if (!fs::is_regular_file(exported / "config.json")) {
        return false;
    }
    const Json config = read_json_file(exported / "config.json");
    return config.is_object() && config.contains("quantization")
        && config["quantization"].is_object();
}

int64_t MlxExporter::estimate_bytes(const ExportInput& input) const
{
    return folder_bytes(input, entries_of(mlx_layout(input)), kBytesPerTensor);
}

std::vector<std::string> MlxExporter::notes(const ExportInput& input) const
{
    std::vector<std::string> notes = folder_notes(input);
    if (std::string note = rounding_note(input); !note.empty()) {
        notes.push_back(std::move(note));
    }
    if (const int64_t window = shortest_ignored_window(input); window > 0) {
        notes.push_back(concat("mlx-lm attends to all tokens before a position, the model to ",
            window, " of them: texts longer than that give other results."));
    }
    const model::RotarySpec& rotary = input.model.spec.blocks.front().attention.rotary;
    if (rotary.kind == model::RotaryKind::Yarn && !rotary.truncate) {
        notes.emplace_back("mlx-lm rounds the dimensions between which YaRN blends to whole ones, "
                           "the model does not: results differ a little.");
    }
    return notes;
}

CardText MlxExporter::card_text(const ExportInput& input) const
{
    return {"mlx", how_to_load(model_name(input.model))};
}

void MlxExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    MlxPacker packer(input);
    write_tensors(context, fs, input, folder, mlx_layout(input), packer, "mlx");
    write_side_files(fs, input.model, folder);
    write_text(fs, folder / "README.md", model_card(input, *this));
    write_text(fs, folder / "config.json", mlx_config(input).dump(2) + "\n");
}

} // namespace bitsmith::exporting
