// SPDX-License-Identifier: GPL-3.0-or-later
// gpt-oss 20B and 120B: sinks, alternating windows, router with bias, clamped experts that are
// stored stacked (bf16 copies) or as MXFP4 blocks (originals).
#include "arch/families.h"

namespace bitsmith::arch {

namespace {

using namespace model;

MoeSpec read_experts(const ConfigReader& config)
{
    MoeSpec moe;
    moe.n_experts = config.count("num_local_experts");
    moe.expert_dim = config.count("intermediate_size");
    moe.expert_bias = true;
    moe.storage = Experts::StackedInterleaved;
    moe.router.kind = Router::TopKSoftmax;
    moe.router.has_bias = true;
    const char* field =
        config.is_set("num_experts_per_tok") ? "num_experts_per_tok" : "experts_per_token";
    moe.router.top_k = config.count(field);
    return moe;
}

} // namespace

DecoderSpec gpt_oss_spec(const Json& whole)
{
    static const Json kRope = {{"rope_type", "yarn"}, {"factor", 32.0}, {"beta_fast", 32.0},
        {"beta_slow", 1.0}, {"truncate", false}, {"original_max_position_embeddings", 4096}};
    LlamaDefaults defaults;
    defaults.norm_eps = 1e-5;
    defaults.head_dim = 64;
    defaults.n_kv_heads = 8;
    defaults.rope.theta = 150000;
    defaults.rope.record = &kRope;
    DecoderSpec spec = llama_layout(whole, defaults);
    const ConfigReader config(decoder_config(whole));
    if (config.number_or("swiglu_limit", 7) != 7) {
        config.unsupported("swiglu_limit", "7");
    }
    const bool bias = config.flag_or("attention_bias", true);
    set_attention_bias(spec, bias, bias);
    spec.final_norm.cast = NormCast::ScaleThenCast;
    spec.names.sinks = "self_attn.sinks";
    spec.names.router = "mlp.router";
    const MoeSpec moe = read_experts(config);
    for (BlockSpec& block : spec.blocks) {
        block.norm = spec.final_norm;
        block.attention.has_sinks = true;
        block.mlp.act = Activation::GptOssClamped;
        block.moe = moe;
    }
    const auto slides = sliding_layers(
        config, static_cast<int64_t>(spec.blocks.size()), [](int64_t i) { return i % 2 == 0; });
    set_sliding(
        spec, slides, config.has("sliding_window") ? config.optional_count("sliding_window") : 128);
    return spec;
}

} // namespace bitsmith::arch
