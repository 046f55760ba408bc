// SPDX-License-Identifier: GPL-3.0-or-later
// Gemma 1, 2 and 3 (text): norms with 1 + weight, scaled embedding, tied head; from 2 on sandwich
// norms and alternating windows, from 3 on q/k norms and two rotary records.
#include "arch/families.h"

#include <cmath>

namespace bitsmith::arch {

namespace {

using namespace model;

/// What all three generations share.
DecoderSpec gemma_base(const Json& whole)
{
    LlamaDefaults defaults;
    defaults.head_dim = 256;
    defaults.is_tied = true;
    DecoderSpec spec = llama_layout(whole, defaults);
    const ConfigReader config(decoder_config(whole));
    config.require_flag("use_bidirectional_attention", false, false);
    spec.final_norm.kind = NormKind::RmsOnePlus;
    spec.final_norm.cast = NormCast::ScaleThenCast;
    spec.embedding_scale = std::sqrt(static_cast<double>(spec.hidden));
    spec.round_embedding_scale = true;
    const char* field = config.is_set("hidden_activation") ? "hidden_activation" : "hidden_act";
    Activation act = activation_of(config, field, "gelu_pytorch_tanh");
    if (act == Activation::GeluErf) {
        act = Activation::GeluTanh; // old files say gelu; the models were trained with tanh
    }
    const bool bias = config.flag_or("attention_bias", false);
    set_attention_bias(spec, bias, bias);
    for (BlockSpec& block : spec.blocks) {
        block.norm = spec.final_norm;
        block.mlp.act = act;
    }
    return spec;
}

/// Sandwich norms, scale from query_pre_attn_scalar, windows.
void set_gemma2_style(
    DecoderSpec& spec, const ConfigReader& config, const std::vector<bool>& slides)
{
    spec.names.norm1_post = "post_attention_layernorm";
    spec.names.norm2 = "pre_feedforward_layernorm";
    spec.names.norm2_post = "post_feedforward_layernorm";
    const double scale = 1 / std::sqrt(config.number_or("query_pre_attn_scalar", 256));
    for (BlockSpec& block : spec.blocks) {
        block.wiring = Wiring::Sandwich;
        block.attention.scale = scale;
    }
    set_sliding(spec, slides,
        config.has("sliding_window") ? config.optional_count("sliding_window") : 4096);
}

/// 0 when null: off.
double softcap(const ConfigReader& config, std::string_view field, double otherwise)
{
    return config.has(field) ? config.number_or(field, 0) : otherwise;
}

/// Old files: scaling belongs to full layers only, sliding ones have a base of their own.
RotarySpec gemma3_rotary(const ConfigReader& config, bool slides, int64_t head_dim)
{
    RopeDefaults defaults;
    defaults.theta = 1e6;
    const bool old_layout = !config.is_set("rope_parameters") || config.is_set("rope_scaling");
    if (old_layout && slides) {
        RotarySpec spec;
        spec.theta = config.number_or("rope_local_base_freq", 1e4);
        return spec;
    }
    return resolve_rotary(
        config, slides ? "sliding_attention" : "full_attention", head_dim, defaults);
}

} // namespace

DecoderSpec gemma_spec(const Json& whole)
{
    return gemma_base(whole);
}

DecoderSpec gemma2_spec(const Json& whole)
{
    DecoderSpec spec = gemma_base(whole);
    const ConfigReader config(decoder_config(whole));
    const auto n_blocks = static_cast<int64_t>(spec.blocks.size());
    set_gemma2_style(
        spec, config, sliding_layers(config, n_blocks, [](int64_t i) { return i % 2 == 0; }));
    spec.logits_softcap = softcap(config, "final_logit_softcapping", 30);
    for (BlockSpec& block : spec.blocks) {
        block.attention.softcap = softcap(config, "attn_logit_softcapping", 50);
    }
    return spec;
}

DecoderSpec gemma3_spec(const Json& whole)
{
    DecoderSpec spec = gemma_base(whole);
    const ConfigReader config(decoder_config(whole));
    const auto n_blocks = static_cast<int64_t>(spec.blocks.size());
    const char* field = config.is_set("_sliding_window_pattern") ? "_sliding_window_pattern"
                                                                 : "sliding_window_pattern";
    const int64_t pattern = config.count_or(field, 6);
    const auto slides =
        sliding_layers(config, n_blocks, [&](int64_t i) { return (i + 1) % pattern != 0; });
    set_gemma2_style(spec, config, slides);
    set_per_head_norm(spec);
    spec.logits_softcap = softcap(config, "final_logit_softcapping", 0);
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        AttentionSpec& attention = spec.blocks[i].attention;
        attention.rotary = gemma3_rotary(config, slides[i], attention.head_dim);
    }
    return spec;
}

} // namespace bitsmith::arch
