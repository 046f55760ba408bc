// SPDX-License-Identifier: GPL-3.0-or-later
// Llama 1 to 3.x and everything published under its model_type: SmolLM2, Falcon 3, Yi, TinyLlama,
// Vicuna, DeepSeek-LLM.
#include "arch/families.h"

namespace bitsmith::arch {

model::DecoderSpec llama_spec(const Json& whole)
{
    model::DecoderSpec spec = llama_layout(whole, {});
    const ConfigReader config(decoder_config(whole));
    const bool bias = config.flag_or("attention_bias", false);
    set_attention_bias(spec, bias, bias);
    for (model::BlockSpec& block : spec.blocks) {
        block.mlp.bias = config.flag_or("mlp_bias", false);
    }
    return spec;
}

} // namespace bitsmith::arch
