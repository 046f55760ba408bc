// SPDX-License-Identifier: GPL-3.0-or-later
// Qwen3 mixture of experts (30B-A3B, 235B-A22B).
#include "arch/families.h"

namespace bitsmith::arch {

namespace {

std::vector<bool> sparse_blocks(const ConfigReader& config, int64_t n_blocks)
{
    const int64_t step = config.count_or("decoder_sparse_step", 1);
    const std::vector<int64_t> dense = config.indices("mlp_only_layers");
    std::vector<bool> sparse;
    for (int64_t i = 0; i < n_blocks; ++i) {
        const bool listed = std::find(dense.begin(), dense.end(), i) != dense.end();
        sparse.push_back((i + 1) % step == 0 && !listed);
    }
    return sparse;
}

} // namespace

model::DecoderSpec qwen3_moe_spec(const Json& whole)
{
    model::DecoderSpec spec = llama_layout(whole, {});
    const ConfigReader config(decoder_config(whole));
    const bool bias = config.flag_or("attention_bias", false);
    set_attention_bias(spec, bias, bias);
    set_per_head_norm(spec);
    if (config.flag_or("use_sliding_window", false)) {
        set_window_of_all(spec, config, 4096);
    }
    model::MoeSpec moe;
    // transformers 5 writes the number under the name that Mixtral introduced.
    moe.n_experts =
        config.count(config.is_set("num_experts") ? "num_experts" : "num_local_experts");
    moe.expert_dim = config.count("moe_intermediate_size");
    moe.router.top_k = config.count("num_experts_per_tok");
    moe.router.renormalize = config.flag_or("norm_topk_prob", false);
    const auto sparse = sparse_blocks(config, static_cast<int64_t>(spec.blocks.size()));
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        if (sparse[i]) {
            spec.blocks[i].moe = moe;
        }
    }
    return spec;
}

} // namespace bitsmith::arch
