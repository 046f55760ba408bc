// SPDX-License-Identifier: GPL-3.0-or-later
// Mixtral 8x7B, 8x22B: every block is a mixture; experts are named w1 (gate), w3 (up), w2 (down).
#include "arch/families.h"

namespace bitsmith::arch {

model::DecoderSpec mixtral_spec(const Json& whole)
{
    LlamaDefaults defaults;
    defaults.norm_eps = 1e-5;
    defaults.n_kv_heads = 8;
    defaults.rope.theta = 1e6;
    model::DecoderSpec spec = llama_layout(whole, defaults);
    const ConfigReader config(decoder_config(whole));
    set_window_of_all(spec, config, std::nullopt);
    model::MoeSpec moe;
    moe.n_experts = config.count("num_local_experts");
    moe.expert_dim = config.count("intermediate_size");
    moe.router.top_k = config.count("num_experts_per_tok");
    moe.router.renormalize = true;
    moe.router.weights_fp32 = true;
    for (model::BlockSpec& block : spec.blocks) {
        block.moe = moe;
    }
    spec.names.router = "block_sparse_moe.gate";
    spec.names.expert = "block_sparse_moe.experts.{e}.";
    spec.names.expert_gate = "w1";
    spec.names.expert_up = "w3";
    spec.names.expert_down = "w2";
    spec.names.experts_gate_up = "block_sparse_moe.experts.gate_up_proj";
    spec.names.experts_down = "block_sparse_moe.experts.down_proj";
    return spec;
}

} // namespace bitsmith::arch
