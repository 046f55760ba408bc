// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_config.h"

#include "base/text.h"
#include "source/gguf_rope.h"

#include <bitsmith/error.h>

#include <functional>

namespace bitsmith::source {
namespace {

using tensor::GgufMetadata;
using tensor::GgufTensor;
using tensor::GgufType;

/// Far above any model; lists of the config have one entry per block.
constexpr int64_t kMaxBlocks = 4096;

/// Sizes that most models share; checked against each other.
struct Sizes
{
    int64_t hidden = 0, blocks = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0;
};

Sizes read_sizes(const GgufParts& parts, const GgufKeys& keys)
{
    Sizes sizes;
    sizes.hidden = keys.required("embedding_length");
    sizes.blocks = keys.required("block_count");
    if (sizes.blocks > kMaxBlocks) {
        keys.corrupt("block_count", concat(sizes.blocks), concat("1 to ", kMaxBlocks));
    }
    sizes.heads = keys.required("attention.head_count");
    sizes.kv_heads = keys.integer("attention.head_count_kv").value_or(sizes.heads);
    sizes.head_dim = keys.integer("attention.key_length").value_or(sizes.hidden / sizes.heads);
    const int64_t value_dim = keys.integer("attention.value_length").value_or(sizes.head_dim);
    if (sizes.kv_heads <= 0 || sizes.heads % sizes.kv_heads != 0 || sizes.head_dim <= 0) {
        keys.corrupt("attention.head_count_kv",
            concat(sizes.heads, " heads, ", sizes.kv_heads, " key/value heads, head size ",
                sizes.head_dim),
            "key/value heads that divide the heads");
    }
    if (value_dim != sizes.head_dim) {
        keys.unsupported("attention.value_length", concat(value_dim),
            concat(sizes.head_dim, ", as attention.key_length"));
    }
    const GgufTensor* embedding = parts.find(concat(kGgufEmbedding.gguf, ".weight"));
    if (embedding == nullptr || embedding->shape.size() != 2) {
        fail(ErrorCode::MissingTensor, "GGUF has no token embedding",
            {{"file", parts.metadata().file()}, {"tensor", "token_embd.weight"}},
            "A file with only a vocabulary is not a model.");
    }
    sizes.vocab = embedding->shape.front(); // rows decide; {arch}.vocab_size is informational
    return sizes;
}

bool has_bias(const GgufParts& parts, std::string_view rule)
{
    return parts.find(concat("blk.0.", rule, ".bias")) != nullptr;
}

std::string torch_dtype(const GgufParts& parts)
{
    bool all_f32 = true;
    bool all_f16 = true;
    for (const auto& [name, location] : parts.tensors()) {
        if (location.tensor->shape.size() >= 2) {
            all_f32 = all_f32 && location.tensor->type->type == GgufType::F32;
            all_f16 = all_f16 && location.tensor->type->type == GgufType::F16;
        }
    }
    if (all_f32) {
        return "float32";
    }
    return all_f16 ? "float16" : "bfloat16";
}

void add_common(Json& config, const GgufParts& parts, const GgufKeys& keys, const Sizes& sizes)
{
    config["hidden_size"] = sizes.hidden;
    config["num_hidden_layers"] = sizes.blocks;
    config["num_attention_heads"] = sizes.heads;
    config["num_key_value_heads"] = sizes.kv_heads;
    config["head_dim"] = sizes.head_dim;
    config["max_position_embeddings"] = keys.required("context_length");
    config["rms_norm_eps"] = keys.required_number("attention.layer_norm_rms_epsilon");
    config["vocab_size"] = sizes.vocab;
    config["tie_word_embeddings"] = parts.find(concat(kGgufHead.gguf, ".weight")) == nullptr;
    if (const auto width = keys.integer("feed_forward_length")) {
        config["intermediate_size"] = *width;
    }
    config["use_cache"] = true;
}

void add_llama(Json& config, const GgufParts& parts)
{
    config["hidden_act"] = "silu";
    config["attention_bias"] = has_bias(parts, "attn_q");
    config["mlp_bias"] = has_bias(parts, "ffn_gate");
}

void add_mixtral(Json& config, const GgufKeys& keys)
{
    config["hidden_act"] = "silu";
    config["num_local_experts"] = keys.required("expert_count");
    config["num_experts_per_tok"] = keys.required("expert_used_count");
    config["sliding_window"] = nullptr;
}

void add_qwen(Json& config, const GgufParts& parts, std::string_view model_type)
{
    config["hidden_act"] = "silu";
    config["use_sliding_window"] = false;
    if (model_type != "qwen2") { // Qwen2 always has the biases and no field for them
        config["attention_bias"] = has_bias(parts, "attn_q");
    }
}

void add_qwen_experts(Json& config, const GgufKeys& keys)
{
    config["num_experts"] = keys.required("expert_count");
    config["num_experts_per_tok"] = keys.required("expert_used_count");
    config["moe_intermediate_size"] = keys.required("expert_feed_forward_length");
    // The converter writes no key for it and llama.cpp's graph renormalises.
    config["norm_topk_prob"] =
        keys.metadata().flag(keys.name("expert_weights_norm")).value_or(true);
    config["decoder_sparse_step"] = 1;
    config["mlp_only_layers"] = Json::array();
}

/// The layer pattern of Gemma and gpt-oss: every `period`-th layer attends to everything.
Json sliding_layers(int64_t blocks, int64_t period)
{
    Json types = Json::array();
    for (int64_t i = 0; i < blocks; ++i) {
        types.push_back((i + 1) % period == 0 ? "full_attention" : "sliding_attention");
    }
    return types;
}

void add_gemma1(Json& config)
{
    config["hidden_activation"] = "gelu_pytorch_tanh";
    config["attention_bias"] = false;
}

/// `large_blocks`: block count of the one size whose attention scale is not that of the head size.
/// GGUF has no key for it: llama.cpp knows the size (ggml-org/llama.cpp: src/llama-model.cpp).
void add_gemma(Json& config, const GgufKeys& keys, const Sizes& sizes, int64_t large_blocks)
{
    const bool is_large = sizes.blocks == large_blocks;
    add_gemma1(config);
    config["query_pre_attn_scalar"] = is_large ? sizes.hidden / sizes.heads : sizes.head_dim;
    config["sliding_window"] = keys.integer("attention.sliding_window").value_or(4096);
}

void add_gemma2(Json& config, const GgufKeys& keys, const Sizes& sizes)
{
    add_gemma(config, keys, sizes, 46);
    config["attn_logit_softcapping"] = keys.number("attn_logit_softcapping").value_or(50.0);
    config["final_logit_softcapping"] = keys.number("final_logit_softcapping").value_or(30.0);
    config["layer_types"] = sliding_layers(sizes.blocks, 2);
}

void add_gemma3(Json& config, const GgufKeys& keys, const Sizes& sizes)
{
    add_gemma(config, keys, sizes, 62);
    const int64_t period = keys.integer("attention.sliding_window_pattern").value_or(6);
    if (period <= 0) {
        keys.corrupt("attention.sliding_window_pattern", concat(period), "1 or more");
    }
    const auto softcap = keys.number("final_logit_softcapping");
    config["attn_logit_softcapping"] = nullptr;
    config["final_logit_softcapping"] = softcap ? Json(*softcap) : Json(nullptr);
    config["sliding_window_pattern"] = period;
    config["layer_types"] = sliding_layers(sizes.blocks, period);
    config["rope_local_base_freq"] = keys.number("rope.freq_base_swa").value_or(10000.0);
}

void add_phi3(Json& config, const GgufKeys& keys, const Sizes& sizes)
{
    const int64_t rotary = keys.integer("rope.dimension_count").value_or(sizes.head_dim);
    const int64_t window = keys.integer("attention.sliding_window").value_or(0);
    config["hidden_act"] = "silu";
    config["partial_rotary_factor"] =
        static_cast<double>(rotary) / static_cast<double>(sizes.head_dim);
    config["sliding_window"] = window > 0 ? Json(window) : Json(nullptr); // 0 stands for null
    config["original_max_position_embeddings"] =
        keys.integer("rope.scaling.original_context_length")
            .value_or(keys.required("context_length"));
}

void add_gpt_oss(Json& config, const GgufKeys& keys, const Sizes& sizes)
{
    config["hidden_act"] = "silu";
    config["attention_bias"] = true; // the graph has no other
    config["num_local_experts"] = keys.required("expert_count");
    config["num_experts_per_tok"] = keys.required("expert_used_count");
    config["intermediate_size"] = keys.required("expert_feed_forward_length");
    config["sliding_window"] = keys.required("attention.sliding_window");
    config["layer_types"] = sliding_layers(sizes.blocks, 2);
}

/// What the published models have and no key says; a scaling that is absent would be taken for
/// theirs.
void complete_gpt_oss_rope(Json& config)
{
    Json& scaling = config["rope_scaling"];
    if (scaling.is_null()) {
        scaling = Json{{"rope_type", "default"}};
    } else if (scaling["rope_type"] == "yarn") {
        scaling["truncate"] = false;
    }
}

void add_family(Json& config, const GgufParts& parts, const GgufKeys& keys, const Sizes& sizes)
{
    const std::string type = config["model_type"].get<std::string>();
    if (type == "llama") {
        add_llama(config, parts);
    } else if (type == "mixtral") {
        add_mixtral(config, keys);
    } else if (type == "gpt_oss") {
        add_gpt_oss(config, keys, sizes);
    } else if (type == "gemma") {
        add_gemma1(config);
    } else if (type == "gemma2") {
        add_gemma2(config, keys, sizes);
    } else if (type == "gemma3_text") {
        add_gemma3(config, keys, sizes);
    } else if (type == "phi3") {
        add_phi3(config, keys, sizes);
    } else {
        add_qwen(config, parts, type);
        if (type == "qwen3_moe") {
            add_qwen_experts(config, keys);
        }
    }
}

void add_token_ids(Json& config, const GgufMetadata& metadata)
{
    for (const auto& [field, key] : {std::pair{"bos_token_id", "tokenizer.ggml.bos_token_id"},
             std::pair{"eos_token_id", "tokenizer.ggml.eos_token_id"},
             std::pair{"pad_token_id", "tokenizer.ggml.padding_token_id"}}) {
        if (const auto id = metadata.integer(key)) {
            config[field] = *id;
        }
    }
}

} // namespace

Json build_gguf_config(const GgufParts& parts, const GgufFamily& family)
{
    const GgufKeys keys(parts.metadata(), std::string(family.arch));
    const Sizes sizes = read_sizes(parts, keys);
    Json config;
    config["architectures"] = Json::array({std::string(family.architecture)});
    config["model_type"] = std::string(family.model_type);
    add_common(config, parts, keys, sizes);
    add_family(config, parts, keys, sizes);
    add_gguf_rope(config, parts, keys);
    if (family.model_type == "gpt_oss") {
        complete_gpt_oss_rope(config);
    }
    add_token_ids(config, parts.metadata());
    config["torch_dtype"] = torch_dtype(parts);
    return config;
}

Json build_gguf_generation_config(const GgufMetadata& metadata)
{
    Json config = Json::object();
    add_token_ids(config, metadata);
    Json ends = Json::array();
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
             "tokenizer.ggml.eom_token_id"}) {
        const auto id = metadata.integer(key);
        if (id && std::find(ends.begin(), ends.end(), Json(*id)) == ends.end()) {
            ends.push_back(*id);
        }
    }
    if (ends.size() > 1) {
        config["eos_token_id"] = ends;
    }
    for (const auto& [field, key] : {std::pair{"temperature", "general.sampling.temp"},
             std::pair{"top_p", "general.sampling.top_p"},
             std::pair{"min_p", "general.sampling.min_p"}}) {
        if (const auto value = metadata.number(key)) {
            config["do_sample"] = true;
            config[field] = *value;
        }
    }
    if (const auto top_k = metadata.integer("general.sampling.top_k")) {
        config["do_sample"] = true;
        config["top_k"] = *top_k;
    }
    return config;
}

std::string gguf_quantization(const GgufParts& parts)
{
    std::map<const tensor::GgufTypeInfo*, std::size_t> bytes;
    const tensor::GgufTypeInfo* most = nullptr;
    for (const auto& [name, location] : parts.tensors()) {
        if (location.tensor->shape.size() < 2) {
            continue;
        }
        const tensor::GgufTypeInfo* type = location.tensor->type;
        bytes[type] += location.tensor->bytes;
        if (most == nullptr || bytes[type] > bytes[most]) {
            most = type;
        }
    }
    const bool is_plain = most == nullptr || most->block == 1;
    return is_plain ? std::string() : concat("gguf ", most->name);
}

} // namespace bitsmith::source
