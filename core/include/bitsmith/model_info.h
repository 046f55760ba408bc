// SPDX-License-Identifier: GPL-3.0-or-later
// What inspection of a model found, from headers alone.
#pragma once

#include <bitsmith/fields.h>

#include <string>
#include <vector>

namespace bitsmith {

/// A linear weight of the model.
struct LayerInfo
{
    std::string name; ///< checkpoint name without ".weight"
    int64_t block_index = -1;
    int64_t rows = 0;
    int64_t columns = 0;
    std::string dtype; ///< safetensors word ("BF16") or GGUF type ("Q4_1")
    int64_t bytes = 0; ///< as stored
    bool quantizable = false; ///< inside a block and of a kind that is quantized by default
    std::string unit; ///< layers of one unit must share a scheme, for example "model.layers.0.qkv"
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, LayerInfo>
void visit_fields(Visitor& v, Self& l)
{
    v("name", l.name, any_value(), "layer");
    v("block_index", l.block_index, any_value(), "block, -1 outside the blocks");
    v("rows", l.rows, any_value(), "output features");
    v("columns", l.columns, any_value(), "input features");
    v("dtype", l.dtype, any_value(), "stored element type");
    v("bytes", l.bytes, range(0, 1e18, "bytes"), "stored size");
    v("quantizable", l.quantizable, any_value(), "quantized by default");
    v("unit", l.unit, any_value(), "layers of a unit share a scheme");
}

struct ModelInfo
{
    std::string path; ///< as the user named it
    std::string kind; ///< "folder" or "gguf"
    std::string family; ///< "llama", "qwen3" ...
    std::string architecture; ///< "LlamaForCausalLM"
    std::string model_type;
    std::string fingerprint; ///< identifies the content: config plus tensor headers plus file sizes
    int64_t blocks = 0;
    int64_t hidden_size = 0;
    int64_t vocab_size = 0;
    int64_t max_length = 0; ///< context in tokens
    int64_t heads = 0; ///< query heads of the first block
    int64_t kv_heads = 0; ///< key/value heads of the first block
    int64_t experts = 0; ///< routed experts of a block; 0: none
    int64_t parameters = 0;
    int64_t bytes = 0; ///< of all tensors as stored
    bool tied_head = false;
    std::string tokenizer; ///< kind ("BPE", "Unigram"); empty when there is none
    bool has_chat_template = false;
    std::string quantization; ///< method that the files are already quantized with; empty otherwise
    std::vector<LayerInfo> layers;
    std::vector<std::string> warnings;
};

template <class Visitor, class Self>
requires std::same_as<std::remove_const_t<Self>, ModelInfo>
void visit_fields(Visitor& v, Self& m)
{
    v("path", m.path, any_value(), "model folder or file");
    v("kind", m.kind, any_value(), "folder or gguf");
    v("family", m.family, any_value(), "decoder family");
    v("architecture", m.architecture, any_value(), "class named by the model");
    v("model_type", m.model_type, any_value(), "model_type of config.json");
    v("fingerprint", m.fingerprint, any_value(), "identity of the content");
    v("blocks", m.blocks, any_value(), "decoder blocks");
    v("hidden_size", m.hidden_size, any_value(), "width of the hidden state");
    v("vocab_size", m.vocab_size, any_value(), "rows of the embedding");
    v("max_length", m.max_length, range(0, 1e12, "tokens"), "context length");
    v("heads", m.heads, any_value(), "query heads");
    v("kv_heads", m.kv_heads, any_value(), "key and value heads");
    v("experts", m.experts, any_value(), "routed experts of a block");
    v("parameters", m.parameters, any_value(), "number of weights");
    v("bytes", m.bytes, range(0, 1e18, "bytes"), "size of all tensors");
    v("tied_head", m.tied_head, any_value(), "head shares the embedding");
    v("tokenizer", m.tokenizer, any_value(), "kind of tokenizer");
    v("has_chat_template", m.has_chat_template, any_value(), "chat template present");
    v("quantization", m.quantization, any_value(), "method of an already quantized model");
    v("layers", m.layers, any_value(), "linear weights");
    v("warnings", m.warnings, any_value(), "things worth knowing");
}

} // namespace bitsmith
