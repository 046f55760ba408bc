// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/folder_format.h"

#include "base/text.h"
#include "export/config_writer.h"
#include "tensor/dtype.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kOtherFilesBytes = 1LL << 20;

} // namespace

const PlannedLayer* quantized_layer(
    const Plan& plan, std::string_view tensor, std::string_view ending)
{
    if (!tensor.ends_with(ending)) {
        return nullptr;
    }
    const PlannedLayer* layer = plan.find(tensor.substr(0, tensor.size() - ending.size()));
    return layer != nullptr && layer->scheme.is_quantized() ? layer : nullptr;
}

c10::ScalarType copied_type(const source::ModelSource& model, const tensor::TensorEntry& entry)
{
    // Tensors of a GGUF arrive decoded to fp32 whatever they were, so the model's own type is used.
    const auto stored = tensor::scalar_type_from(entry.dtype);
    return model.kind == "gguf" || !stored ? float_type(model) : *stored;
}

bool unties_head(const ExportInput& input)
{
    // A tied head may be stored twice; quantizing it unties it all the same.
    return input.model.spec.is_tied && quantizes_head(input.plan);
}

std::vector<const PlannedLayer*> heads_to_add(
    const ExportInput& input, const std::set<std::string, std::less<>>& placed)
{
    std::vector<const PlannedLayer*> heads;
    for (const PlannedLayer& layer : input.plan.layers) {
        if (!layer.scheme.is_quantized() || placed.contains(layer.name)) {
            continue;
        }
        if (layer.block_index >= 0 || !input.model.spec.is_tied) {
            fail(ErrorCode::MissingTensor, "the plan names a layer that the model does not have",
                {{"layer", layer.name}});
        }
        heads.push_back(&layer);
    }
    return heads;
}

void write_other_files(FileSystem& fs, const Exporter& exporter, const ExportInput& input,
    const fs::path& folder, const Json& quantization, const std::string& how_to_load)
{
    write_side_files(fs, input.model, folder);
    write_text(
        fs, folder / "README.md", model_card(input, exporter, {"transformers", how_to_load}));
    write_text(fs, folder / "config.json",
        exported_config(input.model, quantization, unties_head(input)).dump(2) + "\n");
}

std::string transformers_example(const std::string& name)
{
    return concat("```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n",
        "model = AutoModelForCausalLM.from_pretrained(\"path/to/", name, "\")\n",
        "tokenizer = AutoTokenizer.from_pretrained(\"path/to/", name, "\")\n```");
}

int64_t folder_bytes(const ExportInput& input, const std::vector<tensor::TensorEntry>& entries,
    int64_t bytes_per_tensor)
{
    int64_t bytes = kOtherFilesBytes;
    for (const tensor::TensorEntry& entry : entries) {
        bytes += entry.bytes + bytes_per_tensor;
    }
    for (const source::SideFile& side : input.model.side_files) {
        bytes += static_cast<int64_t>(side.bytes.size());
    }
    return bytes;
}

std::vector<std::string> folder_notes(const ExportInput& input)
{
    std::vector<std::string> notes;
    if (input.model.kind == "gguf") {
        notes.push_back(
            concat("the source is a GGUF: tensors that are not quantized are written as ",
                at::toString(float_type(input.model)), "."));
    }
    if (unties_head(input)) {
        notes.emplace_back("the output head is quantized and therefore no longer tied to the "
                           "embedding; the file holds both.");
    }
    return notes;
}

bool has_quant_method(const fs::path& folder, std::string_view method)
{
    if (!fs::is_regular_file(folder / "config.json")) {
        return false;
    }
    const Json config = read_json_file(folder / "config.json");
    if (!config.is_object() || !config.contains("quantization_config")) {
        return false;
    }
    const Json& quantization = config["quantization_config"];
    return quantization.is_object() && quantization.contains("quant_method")
        && quantization["quant_method"] == method;
}

Json quantization_of(const fs::path& folder)
{
    const Json config = read_json_file(folder / "config.json");
    if (!config.is_object() || !config.contains("quantization_config")) {
        fail(ErrorCode::FileCorrupt, "config.json has no quantization_config",
            {{"file", (folder / "config.json").string()}});
    }
    return config["quantization_config"];
}

std::vector<std::string> coverage_findings(
    const tensor::TensorSource& stored, const std::vector<tensor::TensorEntry>& expected)
{
    std::vector<std::string> findings;
    for (const tensor::TensorEntry& tensor : expected) {
        const tensor::TensorEntry* entry = stored.find(tensor.name);
        if (entry == nullptr) {
            findings.push_back(concat("tensor ", tensor.name, " is missing"));
        } else if (entry->shape != tensor.shape || entry->dtype != tensor.dtype) {
            findings.push_back(concat("tensor ", tensor.name, " has another type or shape"));
        }
    }
    if (stored.entries().size() != expected.size()) {
        findings.push_back(concat(
            "the folder holds ", stored.entries().size(), " tensors instead of ", expected.size()));
    }
    return findings;
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b)
{
    if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) {
        return false;
    }
    const at::Tensor left = a.contiguous(), right = b.contiguous();
    return left.nbytes() == right.nbytes()
        && (left.nbytes() == 0
            || std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) == 0);
}

} // namespace bitsmith::exporting
