// SPDX-License-Identifier: GPL-3.0-or-later
#include "arch/llama_layout.h"

#include "arch/registry.h"

#include <bitsmith/error.h>

#include <cmath>

namespace bitsmith::arch {

namespace {

using namespace model;

constexpr int64_t kMaxBlocks = 4096; // the description of every block is held in memory

struct HeadSizes
{
    int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
};

HeadSizes read_heads(const ConfigReader& config, int64_t hidden, const LlamaDefaults& defaults)
{
    HeadSizes sizes;
    sizes.n_heads = config.count("num_attention_heads");
    const bool default_applies = defaults.n_kv_heads > 0 && !config.has("num_key_value_heads");
    sizes.n_kv_heads = config.count_or(
        "num_key_value_heads", default_applies ? defaults.n_kv_heads : sizes.n_heads);
    const std::string heads = std::to_string(sizes.n_heads);
    if (sizes.n_heads % sizes.n_kv_heads != 0) {
        config.reject("num_key_value_heads", "a divisor of num_attention_heads = " + heads);
    }
    const auto head_dim = config.optional_count("head_dim");
    if (!head_dim && defaults.head_dim == 0 && hidden % sizes.n_heads != 0) {
        config.reject("num_attention_heads",
            "a divisor of hidden_size = " + std::to_string(hidden) + ", as there is no head_dim");
    }
    const int64_t otherwise = defaults.head_dim > 0 ? defaults.head_dim : hidden / sizes.n_heads;
    sizes.head_dim = head_dim.value_or(otherwise);
    return sizes;
}

BlockNames block_names()
{
    BlockNames names;
    names.norm1 = "input_layernorm";
    names.norm2 = "post_attention_layernorm";
    names.q = "self_attn.q_proj";
    names.k = "self_attn.k_proj";
    names.v = "self_attn.v_proj";
    names.o = "self_attn.o_proj";
    names.q_norm = "self_attn.q_norm";
    names.k_norm = "self_attn.k_norm";
    names.gate = "mlp.gate_proj";
    names.up = "mlp.up_proj";
    names.down = "mlp.down_proj";
    names.router = "mlp.gate";
    names.expert = "mlp.experts.{e}.";
    names.expert_gate = "gate_proj";
    names.expert_up = "up_proj";
    names.expert_down = "down_proj";
    names.experts_gate_up = "mlp.experts.gate_up_proj";
    names.experts_down = "mlp.experts.down_proj";
    return names;
}

/// One word per layer, all of them known; none where the file has none. A family without windows
/// passes them over, but never a kind of attention that nobody computes here.
std::vector<std::string> layer_types(const ConfigReader& config)
{
    std::vector<std::string> types = config.words("layer_types");
    for (const std::string& type : types) {
        if (type != "sliding_attention" && type != "full_attention" && type != "attention") {
            fail(ErrorCode::UnsupportedModel, "this type of layer is not supported",
                {{"file", "config.json"}, {"field", "layer_types"}, {"found", type},
                    {"allowed", "full_attention, sliding_attention"}});
        }
    }
    return types;
}

ModelNames model_names()
{
    ModelNames names;
    names.block = "model.layers.{i}.";
    names.embedding = "model.embed_tokens";
    names.final_norm = "model.norm";
    names.head = "lm_head";
    names.prefixes = {"model.", "model.language_model.", "language_model.model."};
    names.pass_through = {"rotary_emb.inv_freq"}; // buffers that old files kept
    return names;
}

} // namespace

DecoderSpec llama_layout(const Json& whole, const LlamaDefaults& defaults)
{
    const Json& json = decoder_config(whole);
    const ConfigReader config(json);
    DecoderSpec spec;
    spec.model_type = config.word("model_type");
    spec.hidden = config.count("hidden_size");
    spec.vocab = config.count("vocab_size");
    layer_types(config); // refuses the unknown ones
    spec.max_length = config.count("max_position_embeddings");
    spec.is_tied = ConfigReader(whole).flag_or("tie_word_embeddings", defaults.is_tied);
    spec.final_norm.eps = config.number_or("rms_norm_eps", defaults.norm_eps);
    spec.names = block_names();
    spec.model_names = model_names();

    const HeadSizes heads = read_heads(config, spec.hidden, defaults);
    BlockSpec block;
    block.norm = spec.final_norm;
    block.attention.n_heads = heads.n_heads;
    block.attention.n_kv_heads = heads.n_kv_heads;
    block.attention.head_dim = block.attention.value_dim = heads.head_dim;
    block.attention.scale = 1 / std::sqrt(static_cast<double>(heads.head_dim));
    block.attention.rotary =
        resolve_rotary(config, "full_attention", heads.head_dim, defaults.rope);
    block.mlp.act = activation_of(config, "hidden_act", "silu");
    block.mlp.dim = config.count(defaults.inner_field);
    const int64_t n_blocks = config.count("num_hidden_layers");
    if (n_blocks > kMaxBlocks) {
        config.reject("num_hidden_layers", "1 to " + std::to_string(kMaxBlocks));
    }
    spec.blocks.assign(static_cast<std::size_t>(n_blocks), block);
    return spec;
}

Activation activation_of(
    const ConfigReader& config, std::string_view field, std::string_view otherwise)
{
    const std::string read = config.word(field);
    const std::string word = read.empty() ? std::string(otherwise) : read;
    const std::pair<std::string_view, Activation> known[] = {{"silu", Activation::Silu},
        {"swish", Activation::Silu}, {"gelu", Activation::GeluErf},
        {"gelu_pytorch_tanh", Activation::GeluTanh}, {"gelu_new", Activation::GeluTanh},
        {"gelu_fast", Activation::GeluTanh}, {"quick_gelu", Activation::QuickGelu},
        {"relu", Activation::Relu}, {"relu2", Activation::Relu2}};
    for (const auto& [name, act] : known) {
        if (word == name) {
            return act;
        }
    }
    config.unsupported(field, "silu, gelu, gelu_pytorch_tanh, gelu_new, quick_gelu, relu, relu2");
}

std::vector<bool> sliding_layers(
    const ConfigReader& config, int64_t n_blocks, const std::function<bool(int64_t)>& otherwise)
{
    std::vector<bool> slides;
    if (!config.is_set("layer_types")) {
        for (int64_t i = 0; i < n_blocks; ++i) {
            slides.push_back(otherwise(i));
        }
        return slides;
    }
    const std::vector<std::string> types = layer_types(config);
    if (static_cast<int64_t>(types.size()) != n_blocks) {
        config.reject(
            "layer_types", std::to_string(n_blocks) + " entries, as num_hidden_layers says");
    }
    for (const std::string& type : types) {
        slides.push_back(type == "sliding_attention");
    }
    return slides;
}

void set_sliding(DecoderSpec& spec, const std::vector<bool>& slides, std::optional<int64_t> window)
{
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        if (slides[i] && window) {
            spec.blocks[i].attention.mask = MaskKind::Sliding;
            spec.blocks[i].attention.window = *window;
        }
    }
}

void set_window_of_all(
    DecoderSpec& spec, const ConfigReader& config, std::optional<int64_t> otherwise)
{
    const std::optional<int64_t> window =
        config.has("sliding_window") ? config.optional_count("sliding_window") : otherwise;
    set_sliding(spec, std::vector<bool>(spec.blocks.size(), true), window);
}

void set_attention_bias(DecoderSpec& spec, bool qkv, bool o)
{
    for (BlockSpec& block : spec.blocks) {
        block.attention.q_bias = block.attention.kv_bias = qkv;
        block.attention.o_bias = o;
    }
}

void set_per_head_norm(DecoderSpec& spec)
{
    for (BlockSpec& block : spec.blocks) {
        block.attention.qk_norm = QkNorm::PerHead;
        block.attention.qk_norm_spec = block.norm;
    }
}

} // namespace bitsmith::arch
