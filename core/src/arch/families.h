// SPDX-License-Identifier: GPL-3.0-or-later
// One function per decoder family; each is defined in the file of its name and listed in
// registry.cpp.
#pragma once

#include "arch/llama_layout.h"
#include "arch/registry.h"

namespace bitsmith::arch {

model::DecoderSpec llama_spec(const Json& config);
model::DecoderSpec mistral_spec(const Json& config);
model::DecoderSpec mixtral_spec(const Json& config);
model::DecoderSpec qwen2_spec(const Json& config);
model::DecoderSpec qwen3_spec(const Json& config);
/// Windows of Qwen2 and Qwen3: none unless use_sliding_window, then from max_window_layers on.
void set_qwen_windows(model::DecoderSpec& spec, const ConfigReader& config);
model::DecoderSpec qwen3_moe_spec(const Json& config);
model::DecoderSpec gemma_spec(const Json& config);
model::DecoderSpec gemma2_spec(const Json& config);
model::DecoderSpec gemma3_spec(const Json& config);
model::DecoderSpec phi3_spec(const Json& config);
model::DecoderSpec gpt_oss_spec(const Json& config);

} // namespace bitsmith::arch
