// SPDX-License-Identifier: GPL-3.0-or-later
// Phi-3, 3.5 and 4: fused q/k/v and gate/up projections, longrope.
#include "arch/families.h"

namespace bitsmith::arch {

model::DecoderSpec phi3_spec(const Json& whole)
{
    LlamaDefaults defaults;
    defaults.norm_eps = 1e-5;
    defaults.rope.su_and_yarn_are_longrope = true;
    model::DecoderSpec spec = llama_layout(whole, defaults);
    set_window_of_all(spec, ConfigReader(decoder_config(whole)), std::nullopt);
    spec.names.fusion = model::Fusion::Flat;
    spec.names.qkv = "self_attn.qkv_proj";
    spec.names.gate_up = "mlp.gate_up_proj";
    for (model::BlockSpec& block : spec.blocks) {
        block.mlp.fused_gate_up = true;
    }
    return spec;
}

} // namespace bitsmith::arch
