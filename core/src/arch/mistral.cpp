// SPDX-License-Identifier: GPL-3.0-or-later
// Mistral 7B, Nemo, Small (text).
#include "arch/families.h"

namespace bitsmith::arch {

model::DecoderSpec mistral_spec(const Json& whole)
{
    LlamaDefaults defaults;
    defaults.n_kv_heads = 8;
    model::DecoderSpec spec = llama_layout(whole, defaults);
    set_window_of_all(spec, ConfigReader(decoder_config(whole)), 4096);
    return spec;
}

} // namespace bitsmith::arch
