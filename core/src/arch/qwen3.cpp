// SPDX-License-Identifier: GPL-3.0-or-later
// Qwen3 dense: q and k are normed per head; the head size does not follow from the hidden size.
#include "arch/families.h"

namespace bitsmith::arch {

void set_qwen_windows(model::DecoderSpec& spec, const ConfigReader& config)
{
    const bool used = config.flag_or("use_sliding_window", false);
    const int64_t first_sliding = config.index_or("max_window_layers", 28);
    const auto slides = sliding_layers(config, static_cast<int64_t>(spec.blocks.size()),
        [&](int64_t i) { return i >= first_sliding; });
    const std::optional<int64_t> window =
        config.has("sliding_window") ? config.optional_count("sliding_window") : 4096;
    set_sliding(spec, slides, used ? window : std::nullopt);
}

model::DecoderSpec qwen3_spec(const Json& whole)
{
    LlamaDefaults defaults;
    defaults.head_dim = 128;
    model::DecoderSpec spec = llama_layout(whole, defaults);
    const ConfigReader config(decoder_config(whole));
    const bool bias = config.flag_or("attention_bias", false);
    set_attention_bias(spec, bias, bias);
    set_per_head_norm(spec);
    set_qwen_windows(spec, config);
    return spec;
}

} // namespace bitsmith::arch
