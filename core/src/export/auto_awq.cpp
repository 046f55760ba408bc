// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_awq.h"

#include "base/text.h"
#include "export/folder_verify.h"
#include "export/joined_layers.h"
#include "export/packed_int.h"

#include <bitsmith/version.h>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kBytesPerTensor = 512; ///< its line in the header, and its name in config.json
constexpr std::string_view kDtype = "float16"; ///< of scales, and of what kernels compute with
constexpr PackedIntStyle kStyle{"auto_awq", PackedIntOrder::Awq};

std::vector<std::string> kept_in(const Plan& plan)
{
    std::vector<std::string> names;
    for (const PlannedLayer& layer : plan.layers) {
        if (!layer.scheme.is_quantized()) {
            names.push_back(layer.name);
        }
    }
    return names;
}

/// Readers leave every layer as it is whose name contains one of the kept names.
std::string kept_by_accident(const Plan& plan, const std::vector<std::string>& kept)
{
    for (const PlannedLayer& layer : plan.layers) {
        for (const std::string& name : kept) {
            if (layer.scheme.is_quantized() && layer.name.find(name) != std::string::npos) {
                return concat("readers of auto_awq that keep ", name, " would also keep ",
                    layer.name, ", whose name contains it");
            }
        }
    }
    return {};
}

std::vector<PackedIntTensor> layout_of(const ExportInput& input)
{
    std::string reason = AutoAwqExporter().plan_refusal(input.plan);
    if (reason.empty()) {
        reason = kept_by_accident(input.plan, kept_layers(input));
    }
    if (!reason.empty()) {
        fail(ErrorCode::UnsupportedScheme, reason, {{"format", "auto_awq"}},
            "Give all quantized layers one scheme, or choose auto_round.");
    }
    return packed_int_layout(input, kStyle);
}

} // namespace

std::string AutoAwqExporter::plan_refusal(const Plan& plan) const
{
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.scheme.is_quantized() && layer.block_index < 0) {
            return concat("readers of auto_awq never quantize the output head (", layer.name, ")");
        }
    }
    const std::string mixed = mixed_refusal(plan, id());
    return mixed.empty() ? kept_by_accident(plan, kept_in(plan)) : mixed;
}

Json auto_awq_config(const ExportInput& input)
{
    const Scheme scheme = common_scheme(input.plan);
    return {{"quant_method", "awq"}, {"version", "gemm"}, {"bits", scheme.bits},
        {"group_size", scheme.group_size}, {"zero_point", !scheme.sym}, {"sym", scheme.sym},
        {"data_type", "int"},
        {"modules_to_not_convert", with_joined_layers(input.model.info, kept_layers(input))},
        {"provider", concat("bitsmith ", BITSMITH_VERSION)}};
}

FormatInfo AutoAwqExporter::info() const
{
    return {"auto_awq", "AWQ (vLLM, SGLang, transformers)",
        "integer weights of 4 bits, symmetric or asymmetric, groups of 16, 32, 64 or 128 columns, "
        "the same for all quantized layers",
        "folder: config.json, safetensors shards with packed layers, tokenizer and side files",
        {"vLLM", "SGLang", "GPTQModel", "transformers"}};
}

std::string AutoAwqExporter::refusal(const Scheme& scheme) const
{
    return scheme.is_quantized() ? packed_int_refusal(scheme, kStyle) : "";
}

std::string AutoAwqExporter::shape_refusal(const PlannedLayer& layer) const
{
    return packed_shape_refusal(layer, kStyle);
}

bool AutoAwqExporter::recognizes(const fs::path& exported) const
{
    return has_quant_method(exported, "awq");
}

int64_t AutoAwqExporter::estimate_bytes(const ExportInput& input) const
{
    return folder_bytes(input, entries_of(layout_of(input)), kBytesPerTensor);
}

std::vector<std::string> AutoAwqExporter::notes(const ExportInput& input) const
{
    return folder_notes(input, kDtype);
}

CardText AutoAwqExporter::card_text(const ExportInput& input) const
{
    return {"transformers", vllm_or_transformers(*this, input, " and the package `gptqmodel`")};
}

void AutoAwqExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    PackedIntPacker packer(input, kStyle);
    write_tensors(context, fs, input, folder, layout_of(input), packer);
    write_other_files(fs, *this, input, folder, auto_awq_config(input), kDtype);
}

std::vector<std::string> AutoAwqExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    return verify_folder(folder, input, [&](const Reopened& opened) {
        PackedIntPacker packer(*input, kStyle);
        return compare_folder(opened, auto_awq_config(*input), layout_of(*input), packer);
    });
}

} // namespace bitsmith::exporting
