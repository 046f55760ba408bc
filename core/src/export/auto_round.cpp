// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_round.h"

#include "base/text.h"
#include "export/auto_round_layout.h"
#include "export/config_writer.h"
#include "export/folder_verify.h"

#include <algorithm>
#include <array>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kBytesPerTensor = 256; ///< its line in the header

std::string how_to_load(const std::string& name)
{
    return concat(
        "With transformers and the package `auto-round`:\n\n", transformers_example(name));
}

/// Whether Marlin, vLLM's only kernel for symmetric integers of this format, takes the layer
/// (formats.md 2.11).
bool fits_marlin(const PlannedLayer& layer)
{
    constexpr std::array<int64_t, 4> groups = {kGroupPerRow, 32, 64, 128};
    const Scheme& scheme = layer.scheme;
    return std::find(groups.begin(), groups.end(), scheme.group_size) != groups.end()
        && layer.rows % 64 == 0 && layer.columns % 128 == 0;
}

/// What users of vLLM should know; empty when it runs all layers.
std::string kernel_note(const Plan& plan)
{
    std::vector<std::string> misfits;
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.scheme.is_quantized() && !fits_marlin(layer)) {
            misfits.push_back(layer.name);
        }
    }
    return misfits.empty()
        ? ""
        : concat("vLLM's kernel takes layers in groups of 32, 64, 128 or one per "
                 "row, whose outputs are multiples of 64 and inputs of 128. Layers that it does "
                 "not take: ",
            misfits.size(), ", the first one ", misfits.front(),
            ". transformers with the package auto-round runs all.");
}

} // namespace

FormatInfo AutoRoundExporter::info() const
{
    return {"auto_round", "AutoRound (transformers, vLLM, SGLang)",
        "integer weights of 2, 3, 4 or 8 bits, symmetric or asymmetric, any group size or one "
        "group per row; MXFP4, MXFP8, MXINT4, NVFP4, FP8; one kind of numbers per folder",
        "folder: config.json, safetensors shards with packed layers, tokenizer and side files",
        {"transformers", "vLLM", "SGLang"}};
}

std::string AutoRoundExporter::refusal(const Scheme& scheme) const
{
    return auto_round_refusal(scheme);
}

std::string AutoRoundExporter::plan_refusal(const Plan& plan) const
{
    return auto_round_plan_refusal(plan);
}

bool AutoRoundExporter::recognizes(const fs::path& exported) const
{
    return has_quant_method(exported, "auto-round");
}

int64_t AutoRoundExporter::estimate_bytes(const ExportInput& input) const
{
    return with_auto_round_layout(input, [&](const auto& layout, auto&) {
        return folder_bytes(input, entries_of(layout), kBytesPerTensor);
    });
}

std::vector<std::string> AutoRoundExporter::notes(const ExportInput& input) const
{
    const AutoRoundPacking packing = auto_round_packing(input.plan);
    const AutoRoundPackingInfo& info = packing_info(packing);
    std::vector<std::string> notes = folder_notes(input, info.dtype);
    if (packing == AutoRoundPacking::Awq) {
        notes.emplace_back("transformers computes with this packing by the package `gptqmodel`, or "
                           "`auto-round-lib` on processors, beside `auto-round`.");
    }
    if (packing == AutoRoundPacking::Gptq) {
        if (std::string note = kernel_note(input.plan); !note.empty()) {
            notes.push_back(std::move(note));
        }
    }
    return notes;
}

CardText AutoRoundExporter::card_text(const ExportInput& input) const
{
    return {"transformers", how_to_load(model_name(input.model))};
}

void AutoRoundExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    with_auto_round_layout(input, [&](const auto& layout, auto& packer) {
        write_tensors(context, fs, input, folder, layout, packer);
    });
    const Json quantization = auto_round_config(input);
    write_text(fs, folder / "quantization_config.json", quantization.dump(2) + "\n");
    write_other_files(
        fs, *this, input, folder, quantization, packing_info(auto_round_packing(input.plan)).dtype);
}

std::vector<std::string> AutoRoundExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    return verify_folder(folder, input, [&](const Reopened& opened) {
        return with_auto_round_layout(*input, [&](const auto& layout, auto& packer) {
            return compare_folder(opened, auto_round_config(*input), layout, packer);
        });
    });
}

} // namespace bitsmith::exporting
