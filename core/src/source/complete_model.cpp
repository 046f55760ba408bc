// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/complete_model.h"

#include "arch/registry.h"
#include "base/text.h"
#include "model/decoder_block.h"
#include "model/spec_check.h"
#include "source/checkpoint_names.h"
#include "tensor/dtype.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;

/// Sets `field` of the config and of its nested decoder config where it stands.
void correct(Json& config, const char* field, const Json& value)
{
    bool found = false;
    for (Json* object :
        {&config, config.contains("text_config") ? &config["text_config"] : nullptr}) {
        if (object != nullptr && object->is_object() && object->contains(field)) {
            (*object)[field] = value;
            found = true;
        }
    }
    if (!found) {
        config[field] = value;
    }
}

/// Word of config.json for a stored type; empty for types that say nothing about the model's.
std::string_view config_word(std::string_view dtype)
{
    if (dtype == "BF16") {
        return "bfloat16";
    }
    if (dtype == "F16") {
        return "float16";
    }
    return dtype == "F32" ? "float32" : "";
}

std::string text_of(const Json& object, const char* field)
{
    const auto found = object.is_object() ? object.find(field) : object.end();
    return object.is_object() && found != object.end() && found->is_string()
        ? found->get<std::string>()
        : std::string();
}

/// Row 5: another head on a known decoder is another model.
void check_architecture(const Json& config)
{
    const auto names = config.find("architectures");
    if (names == config.end() || !names->is_array() || names->empty()
        || !names->front().is_string()) {
        return;
    }
    const std::string name = names->front().get<std::string>();
    if (!name.ends_with("ForCausalLM") && !name.ends_with("ForConditionalGeneration")) {
        fail(ErrorCode::UnsupportedModel, "this is not a model that writes text",
            {{"file", "config.json"}, {"field", "architectures"}, {"found", printable(name)},
                {"allowed", "...ForCausalLM, ...ForConditionalGeneration"}},
            "Take the language model that it was made from.");
    }
}

/// Row 20: numbers that are codes of some quantization that config.json does not describe.
void check_plain_types(const ModelSource& source)
{
    static const std::vector<std::string> kPlain = {"BF16", "F16", "F32", "F64", "F8_E4M3"};
    if (source.kind != "folder" || !source.info.quantization.empty()) {
        return;
    }
    for (std::size_t i = 0; i < source.spec.blocks.size(); ++i) {
        for (const model::LinearShape& shape :
            model::block_linear_shapes(source.spec, static_cast<int64_t>(i))) {
            const std::string name = shape.name + ".weight";
            const TensorEntry* entry = source.tensors->find(name);
            const bool is_plain = entry == nullptr
                || std::find(kPlain.begin(), kPlain.end(), entry->dtype) != kPlain.end();
            const bool is_scaled = source.tensors->find(name + "_scale") != nullptr
                || source.tensors->find(name + "_scale_inv") != nullptr;
            if (!is_plain || is_scaled) {
                fail(ErrorCode::UnsupportedModel,
                    "the weights are quantized, but config.json does not say how",
                    {{"tensor", name}, {"found", entry->dtype},
                        {"allowed", concat(join(kPlain, ", "), " without scales beside them")}},
                    "Put quantization_config back into config.json, or take the original model.");
            }
        }
    }
}

/// Row 12: the type that config.json names against the type of the weights.
void settle_dtype(ModelSource& source, const std::vector<model::LinearShape>& layers)
{
    const TensorEntry* entry =
        layers.empty() ? nullptr : source.tensors->find(layers.front().name + ".weight");
    const std::string_view stored = entry == nullptr ? "" : config_word(entry->dtype);
    const Json& decoder = arch::decoder_config(source.config);
    for (const char* field : {"torch_dtype", "dtype"}) {
        const std::string top = text_of(source.config, field);
        const std::string said = top.empty() ? text_of(decoder, field) : top;
        // A quantized checkpoint decodes to fp32; its config names the type it was made from.
        if (said.empty() || stored.empty() || said == stored || !source.info.quantization.empty()) {
            continue;
        }
        source.info.warnings.push_back(concat("config.json says ", field, " ", said,
            ", the weights are ", stored, ": the weights are followed"));
        correct(source.config, field, std::string(stored));
    }
}

/// Row 13: the flag against the files. `flag` is what config.json says.
void settle_tie(ModelSource& source, bool flag)
{
    const bool has_head = source.tensors->find(source.spec.model_names.head + ".weight") != nullptr;
    const bool tied = source.spec.is_tied;
    if (flag && has_head) {
        source.info.warnings.push_back(tied
                ? "the head is stored although it is tied; it equals the embedding and is not kept"
                : "config.json ties the head to the embedding, but a different head is stored: the "
                  "stored head is used");
    }
    if (!flag && !has_head) {
        source.info.warnings.emplace_back(
            "config.json does not tie the head, but none is stored: the embedding is used");
    }
    if (flag != tied) {
        correct(source.config, "tie_word_embeddings", tied);
    }
}

/// Stored type and bytes of a layer; a layer inside a stacked tensor counts its share.
void set_storage(LayerInfo& layer, const tensor::TensorSource& tensors)
{
    if (const TensorEntry* entry = tensors.find(layer.name + ".weight")) {
        layer.dtype = entry->dtype;
        layer.bytes = entry->bytes;
        return;
    }
    // "...mlp.experts.3.up_proj" lies in "...mlp.experts.gate_up_proj" or a like-named tensor.
    const std::string module = layer.name.substr(0, layer.name.find(".experts.") + 9);
    for (const TensorEntry& entry : tensors.entries()) {
        int64_t n_weights = 1;
        for (const int64_t size : entry.shape) {
            n_weights *= size;
        }
        if (entry.name.starts_with(module) && n_weights >= layer.rows * layer.columns) {
            layer.dtype = entry.dtype;
            layer.bytes = static_cast<int64_t>(static_cast<double>(entry.bytes)
                * static_cast<double>(layer.rows * layer.columns) / static_cast<double>(n_weights));
            return;
        }
    }
}

std::vector<LayerInfo> list_layers(const ModelSource& source)
{
    std::vector<LayerInfo> layers;
    for (int64_t i = 0; i < static_cast<int64_t>(source.spec.blocks.size()); ++i) {
        for (const model::LinearShape& shape : model::block_linear_shapes(source.spec, i)) {
            layers.push_back(
                {shape.name, i, shape.rows, shape.columns, "", 0, shape.quantizable, shape.unit});
            set_storage(layers.back(), *source.tensors);
        }
    }
    if (!source.spec.is_tied) {
        const std::string& head = source.spec.model_names.head;
        const TensorEntry& entry = *source.tensors->find(head + ".weight");
        layers.push_back(
            {head, -1, entry.shape[0], entry.shape[1], entry.dtype, entry.bytes, false, head});
    }
    return layers;
}

void fill_info(ModelSource& source)
{
    ModelInfo& info = source.info;
    info.kind = source.kind;
    info.family = source.family;
    info.model_type = source.spec.model_type;
    const auto names = source.config.find("architectures");
    if (names != source.config.end() && names->is_array() && !names->empty()
        && names->front().is_string()) {
        info.architecture = names->front().get<std::string>();
    }
    info.blocks = static_cast<int64_t>(source.spec.blocks.size());
    info.hidden_size = source.spec.hidden;
    info.vocab_size = source.spec.vocab;
    info.max_length = source.spec.max_length;
    const model::AttentionSpec& attention = source.spec.blocks.front().attention;
    info.heads = attention.n_heads;
    info.kv_heads = attention.n_kv_heads;
    for (const model::BlockSpec& block : source.spec.blocks) {
        info.experts = std::max(info.experts, block.moe ? block.moe->n_experts : 0);
    }
    info.tied_head = source.spec.is_tied;
    for (const TensorEntry& entry : source.tensors->entries()) {
        int64_t n_weights = 1; // the readers have checked that it does not overflow
        for (const int64_t size : entry.shape) {
            n_weights *= size;
        }
        info.parameters += n_weights;
        info.bytes += entry.bytes;
    }
    info.tokenizer = tokenizer_kind(source.side_files);
    info.has_chat_template = has_chat_template(source.side_files);
    info.layers = list_layers(source);
}

} // namespace

void complete_model(ModelSource& source)
{
    check_architecture(source.config);
    const arch::Family& family = arch::family_for(source.config);
    source.family = family.id;
    source.spec = family.spec_from_config(source.config);
    adopt_checkpoint_names(source.spec, *source.tensors);
    check_block_count(source.spec, arch::decoder_config(source.config), *source.tensors);
    const bool flag = source.spec.is_tied;
    model::resolve_from_tensors(source.spec, *source.tensors);
    model::check_tensors(source.spec, *source.tensors);
    check_plain_types(source);
    settle_tie(source, flag);
    settle_dtype(source, model::block_linear_shapes(source.spec, 0));
    fill_info(source);
}

} // namespace bitsmith::source
