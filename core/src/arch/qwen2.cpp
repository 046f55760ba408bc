// SPDX-License-Identifier: GPL-3.0-or-later
// Qwen2, Qwen2.5: biases on q, k and v that no field announces.
#include "arch/families.h"

namespace bitsmith::arch {

model::DecoderSpec qwen2_spec(const Json& whole)
{
    model::DecoderSpec spec = llama_layout(whole, {});
    set_attention_bias(spec, /*qkv=*/true, /*o=*/false);
    set_qwen_windows(spec, ConfigReader(decoder_config(whole)));
    return spec;
}

} // namespace bitsmith::arch
