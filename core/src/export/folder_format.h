// SPDX-License-Identifier: GPL-3.0-or-later
// What formats share that are Hugging Face folders with quantized layers in safetensors: which tensors
// there are, writing them, and reading the folder again. A format says what the tensors of a layer are.
#pragma once

#include "base/json_io.h"
#include "export/expert_stack.h"
#include "export/exporter.h"
#include "tensor/safetensors_writer.h"

#include <c10/core/ScalarType.h>

#include <set>
#include <string>
#include <vector>

namespace bitsmith::exporting {

/// One tensor of a folder. `Part` is the format's enumeration of what it can be; it has `Copy`, a
/// tensor of the source.
template <class Part>
struct FolderTensor
{
    std::string name; ///< as written
    Part part = Part::Copy;
    std::string source; ///< tensor of the source, or the layer
    std::vector<int64_t> shape;
    c10::ScalarType type = c10::ScalarType::Float;
};

template <class Part>
std::vector<tensor::TensorEntry> entries_of(const std::vector<FolderTensor<Part>>& tensors)
{
    std::vector<tensor::TensorEntry> entries;
    entries.reserve(tensors.size());
    for (const FolderTensor<Part>& tensor : tensors) {
        entries.push_back(tensor::entry_for(tensor.name, tensor.shape, tensor.type));
    }
    return entries;
}

/// The quantized layer whose tensor is `tensor` = layer + `ending`; null for all others.
const PlannedLayer* quantized_layer(
    const Plan& plan, std::string_view tensor, std::string_view ending);
/// Null when there is none.
const PlannedLayer* first_quantized(const Plan& plan);
/// Element type in which a tensor of the source is written.
c10::ScalarType copied_type(const source::ModelSource& model, const tensor::TensorEntry& entry);
/// Whether a head that was tied in the source is quantized and therefore written on its own.
bool unties_head(const ExportInput& input);
/// Quantized layers that are no tensors of the source: a head that was tied. `placed` are the names of
/// the others. Throws MissingTensor for any other layer.
std::vector<const PlannedLayer*> heads_to_add(
    const ExportInput& input, const std::set<std::string, std::less<>>& placed);

/// The tensors of a folder in the order of the source: for the weight of a quantized layer what
/// `add_layer(layout, layer)` adds, every other one as it is; last, a head that was tied. What lies
/// in `stacks` is left out: the format has tensors of its own for it. Throws MissingTensor for a
/// planned layer that the model does not have, and what `add_layer` throws.
template <class Part, class AddLayer>
std::vector<FolderTensor<Part>> folder_layout(const ExportInput& input, const AddLayer& add_layer,
    const std::vector<ExpertStack>& stacks = {})
{
    std::vector<FolderTensor<Part>> layout;
    std::set<std::string, std::less<>> placed, elsewhere;
    if (!stacks.empty()) {
        elsewhere = expert_tensors(input.model.spec);
    }
    for (const ExpertStack& stack : stacks) {
        placed.insert(stack.layers.begin(), stack.layers.end());
    }
    for (const tensor::TensorEntry& entry : input.model.tensors->entries()) {
        if (elsewhere.contains(entry.name)) {
            continue;
        }
        if (const PlannedLayer* layer = quantized_layer(input.plan, entry.name, ".weight")) {
            add_layer(layout, *layer);
            placed.insert(layer->name);
        } else {
            layout.push_back(
                {entry.name, Part::Copy, entry.name, entry.shape, copied_type(input.model, entry)});
        }
    }
    for (const PlannedLayer* head : heads_to_add(input, placed)) {
        add_layer(layout, *head);
    }
    return layout;
}

/// Empty: all quantized layers have one scheme. Otherwise the reason in one sentence, see
/// Exporter::plan_refusal.
std::string mixed_refusal(const Plan& plan, std::string_view format);
/// The scheme that most layers of the blocks have; the first of equals. A configuration names it once,
/// all others are exceptions.
Scheme common_scheme(const Plan& plan);
/// Every linear weight that is not quantized, and the head unless it is; not the embedding.
std::vector<std::string> kept_layers(const ExportInput& input);

/// Writes `tensors` in shards; `packer.produce(tensor)` gives the values. `format`: the library
/// that the files are for, as their headers name it. Emits StageProgress.
template <class Part, class Packer>
void write_tensors(RunContext& context, FileSystem& fs, const ExportInput& input,
    const std::filesystem::path& folder, const std::vector<FolderTensor<Part>>& tensors,
    Packer& packer, const char* format = "pt")
{
    tensor::ShardedWriter writer(fs, folder, entries_of(tensors),
        static_cast<int64_t>(input.spec.exports.max_shard_gb * 1e9), {{"format", format}});
    const auto total = static_cast<int64_t>(tensors.size());
    for (int64_t i = 0; i < total; ++i) {
        context.checkpoint();
        const FolderTensor<Part>& tensor = tensors[static_cast<std::size_t>(i)];
        writer.write(tensor.name, packer.produce(tensor));
        context.events.emit(StageProgress{Stage::Export, i + 1, total, "tensors"});
    }
    writer.finish();
}

/// Side files, model card and, last, config.json with `quantization`: without a config.json nothing
/// takes the folder for a model. `dtype`: the element type that config.json names, empty for that
/// of the source.
void write_other_files(FileSystem& fs, const Exporter& exporter, const ExportInput& input,
    const std::filesystem::path& folder, const Json& quantization, std::string_view dtype = {});
/// Python that loads the folder `name` with transformers, as Markdown.
std::string transformers_example(const std::string& name);
/// Markdown about those of vLLM, with `options` behind the path, and transformers, with `aside` behind
/// its name, that load such a folder.
std::string vllm_or_transformers(const Exporter& exporter, const ExportInput& input,
    std::string_view aside, std::string_view options = {});

/// Bytes of all files; `bytes_per_tensor` for what headers and lists say about one.
int64_t folder_bytes(const ExportInput& input, const std::vector<tensor::TensorEntry>& entries,
    int64_t bytes_per_tensor);
/// What such a folder does differently from the source, see Exporter::notes; `dtype` as in
/// write_other_files.
std::vector<std::string> folder_notes(const ExportInput& input, std::string_view dtype = {});

/// Does config.json name this `quant_method`?
bool has_quant_method(const std::filesystem::path& folder, std::string_view method);
/// The object `quantization_config` of config.json. Throws FileCorrupt when there is none.
Json quantization_of(const std::filesystem::path& folder);
/// Findings about names, types and shapes against what the plan asks for, both ways.
std::vector<std::string> coverage_findings(
    const tensor::TensorSource& stored, const std::vector<tensor::TensorEntry>& expected);
/// Same type, shape and bytes.
bool same_bytes(const at::Tensor& a, const at::Tensor& b);

} // namespace bitsmith::exporting
