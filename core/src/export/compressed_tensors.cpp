// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/compressed_tensors.h"

#include "export/compressed_tensors_config.h"
#include "export/compressed_tensors_layout.h"
#include "export/folder_verify.h"

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

/// Its line in the header of the weights, and its name in config.json and the list of files.
constexpr int64_t kBytesPerTensor = 512;

} // namespace

FormatInfo CompressedTensorsExporter::info() const
{
    return {"llm_compressor", "compressed-tensors (vLLM, SGLang, transformers)",
        "integer weights of 2, 4 or 8 bits, W8A8, W4A8, W4A4, FP8, MXFP4, MXFP8 and NVFP4",
        "folder: config.json, safetensors shards with packed layers, tokenizer and side files",
        {"vLLM", "SGLang", "transformers"}};
}

std::string CompressedTensorsExporter::refusal(const Scheme& scheme) const
{
    return compressed_refusal(scheme);
}

std::string CompressedTensorsExporter::shape_refusal(const PlannedLayer& layer) const
{
    return compressed_shape_refusal(layer);
}

std::string CompressedTensorsExporter::cache_refusal(CacheType) const
{
    return {};
}

bool CompressedTensorsExporter::recognizes(const fs::path& exported) const
{
    return has_quant_method(exported, "compressed-tensors");
}

int64_t CompressedTensorsExporter::estimate_bytes(const ExportInput& input) const
{
    return folder_bytes(input, entries_of(compressed_layout(input)), kBytesPerTensor);
}

std::vector<std::string> CompressedTensorsExporter::notes(const ExportInput& input) const
{
    return folder_notes(input);
}

CardText CompressedTensorsExporter::card_text(const ExportInput& input) const
{
    const bool is_fp8 = input.spec.recipe.static_kv_dtype == CacheType::Fp8;
    return {"transformers",
        vllm_or_transformers(*this, input, " and the package `compressed-tensors`",
            is_fp8 ? " --kv-cache-dtype fp8" : "")};
}

void CompressedTensorsExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    CompressedPacker packer(input);
    write_tensors(context, fs, input, folder, compressed_layout(input), packer);
    write_other_files(fs, *this, input, folder, compressed_tensors_config(input));
}

std::vector<std::string> CompressedTensorsExporter::verify(
    const fs::path& folder, const ExportInput* input) const
{
    return verify_folder(folder, input, [&](const Reopened& opened) {
        CompressedPacker packer(*input);
        return compare_folder(
            opened, compressed_tensors_config(*input), compressed_layout(*input), packer);
    });
}

} // namespace bitsmith::exporting
