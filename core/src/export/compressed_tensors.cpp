// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/compressed_tensors.h"

#include "base/text.h"
#include "export/compressed_tensors_config.h"
#include "export/compressed_tensors_layout.h"
#include "export/config_writer.h"
#include "tensor/safetensors_writer.h"

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kOtherFilesBytes = 1LL << 20;
/// Its line in the header of the weights, and its name in config.json and the list of files.
constexpr int64_t kBytesPerTensor = 512;

std::string how_to_load(const std::string& name)
{
    return concat("With vLLM: `vllm serve path/to/", name, "`. With transformers and the package ",
        "`compressed-tensors`:\n\n```python\n",
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n",
        "model = AutoModelForCausalLM.from_pretrained(\"path/to/", name, "\")\n",
        "tokenizer = AutoTokenizer.from_pretrained(\"path/to/", name, "\")\n```");
}

} // namespace

FormatInfo CompressedTensorsExporter::info() const
{
    return {"llm_compressor", "compressed-tensors (vLLM, SGLang, transformers)",
        "integer weights of 2, 4 or 8 bits, W8A8, W4A8, W4A4, FP8, MXFP4, MXFP8 and NVFP4",
        "folder: config.json, safetensors shards with packed layers, tokenizer and side files"};
}

std::string CompressedTensorsExporter::refusal(const Scheme& scheme) const
{
    return compressed_refusal(scheme);
}

std::string CompressedTensorsExporter::model_refusal(const ModelInfo&) const
{
    return {};
}

bool CompressedTensorsExporter::recognizes(const fs::path& exported) const
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
        && quantization["quant_method"] == "compressed-tensors";
}

int64_t CompressedTensorsExporter::estimate_bytes(const ExportInput& input) const
{
    int64_t bytes = kOtherFilesBytes;
    for (const tensor::TensorEntry& entry : compressed_layout(input).entries()) {
        bytes += entry.bytes + kBytesPerTensor;
    }
    for (const source::SideFile& side : input.model.side_files) {
        bytes += static_cast<int64_t>(side.bytes.size());
    }
    return bytes;
}

std::vector<std::string> CompressedTensorsExporter::notes(const ExportInput& input) const
{
    std::vector<std::string> notes;
    if (input.model.kind == "gguf") {
        notes.push_back(
            concat("the source is a GGUF: tensors that are not quantized are written as ",
                at::toString(float_type(input.model)), "."));
    }
    if (compressed_layout(input).unties_head) {
        notes.emplace_back("the output head is quantized and therefore no longer tied to the "
                           "embedding; the file holds both.");
    }
    return notes;
}

void CompressedTensorsExporter::write(
    RunContext& context, FileSystem& fs, const ExportInput& input, const fs::path& folder) const
{
    const CompressedLayout layout = compressed_layout(input);
    CompressedPacker packer(input);
    tensor::ShardedWriter writer(
        fs, folder, layout.entries(), static_cast<int64_t>(input.spec.exports.max_shard_gb * 1e9));
    const auto total = static_cast<int64_t>(layout.tensors.size());
    for (int64_t i = 0; i < total; ++i) {
        context.checkpoint();
        const CompressedTensor& tensor = layout.tensors[static_cast<std::size_t>(i)];
        writer.write(tensor.name, packer.produce(tensor));
        context.events.emit(StageProgress{Stage::Export, i + 1, total, "tensors"});
    }
    writer.finish();

    write_side_files(fs, input.model, folder);
    write_text(fs, folder / "README.md",
        model_card(input, *this, {"transformers", how_to_load(model_name(input.model))}));
    // Last: without a config.json nothing takes the folder for a model.
    const Json config =
        exported_config(input.model, compressed_tensors_config(input), layout.unties_head);
    write_text(fs, folder / "config.json", config.dump(2) + "\n");
}

} // namespace bitsmith::exporting
