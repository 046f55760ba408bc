// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/folder_format.h"

#include "base/text.h"
#include "export/config_writer.h"
#include "export/model_card.h"
#include "export/runtime_limits.h"
#include "export/serve_table.h"
#include "tensor/dtype.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace bitsmith::exporting {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kOtherFilesBytes = 1LL << 20;
constexpr std::string_view kWeight = ".weight";

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

const PlannedLayer* first_quantized(const Plan& plan)
{
    const auto first = std::find_if(plan.layers.begin(), plan.layers.end(),
        [](const PlannedLayer& layer) { return layer.scheme.is_quantized(); });
    return first == plan.layers.end() ? nullptr : &*first;
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

std::string mixed_refusal(const Plan& plan, std::string_view format)
{
    const PlannedLayer* first = first_quantized(plan);
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.scheme.is_quantized() && layer.scheme != first->scheme) {
            return concat(format, " has one scheme for all layers, but ", first->name, " is ",
                scheme_name(first->scheme), " and ", layer.name, " is ", scheme_name(layer.scheme));
        }
    }
    return {};
}

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

std::vector<std::string> kept_layers(const ExportInput& input)
{
    std::vector<std::string> names;
    std::set<std::string> seen = {input.model.spec.model_names.embedding};
    const auto add = [&](const std::string& name) {
        const PlannedLayer* planned = input.plan.find(name);
        if ((planned == nullptr || !planned->scheme.is_quantized()) && seen.insert(name).second) {
            names.push_back(name);
        }
    };
    for (const LayerInfo& layer : input.model.info.layers) {
        add(layer.name);
    }
    // Matrices that are no layers of the blocks: towers, projectors.
    for (const tensor::TensorEntry& entry : input.model.tensors->entries()) {
        if (entry.name.ends_with(kWeight) && entry.shape.size() == 2) {
            add(entry.name.substr(0, entry.name.size() - kWeight.size()));
        }
    }
    // A tied head is no tensor of its own, but a module of its own.
    add(input.model.spec.model_names.head);
    return names;
}

void write_other_files(FileSystem& fs, const Exporter& exporter, const ExportInput& input,
    const fs::path& folder, const Json& quantization, std::string_view dtype)
{
    Json config = exported_config(input.model, quantization, unties_head(input));
    if (!dtype.empty()) {
        set_element_type(config, dtype);
    }
    write_side_files(fs, input.model, folder);
    write_text(fs, folder / "README.md", model_card(input, exporter));
    write_text(fs, folder / "config.json", config.dump(2) + "\n");
}

std::string transformers_example(const std::string& name)
{
    return concat(
        "```python\n", serve_text(serve_row("transformers"), concat("path/to/", name)), "```");
}

std::string vllm_or_transformers(const Exporter& exporter, const ExportInput& input,
    std::string_view aside, std::string_view options)
{
    const std::string name = model_name(input.model);
    std::vector<std::string> texts;
    for (const std::string& runtime : loading_runtimes(exporter, input.plan)) {
        if (runtime == "vLLM") {
            texts.push_back(concat("With vLLM: `vllm serve path/to/", name, options, "`."));
        } else if (runtime == "transformers") {
            texts.push_back(
                concat("With transformers", aside, ":\n\n", transformers_example(name)));
        }
    }
    return join(texts, " ");
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

std::vector<std::string> folder_notes(const ExportInput& input, std::string_view dtype)
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
    const std::string stored = exported_config(input.model, nullptr, false)["torch_dtype"];
    if (!dtype.empty() && dtype != stored) {
        notes.push_back(concat("config.json says ", dtype, " instead of ", stored,
            ", as runtimes compute with these layers; other tensors stay as they are stored."));
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
