// SPDX-License-Identifier: GPL-3.0-or-later
// The common part of every family with Llama's names and sizes (layout A of models.md 2.1); a
// family file changes what differs.
#pragma once

#include "arch/config_reader.h"
#include "arch/rope_config.h"
#include "model/decoder_spec.h"

namespace bitsmith::arch {

/// What a family assumes where config.json says nothing.
struct LlamaDefaults
{
    double norm_eps = 1e-6;
    int64_t head_dim = 0; ///< 0: hidden_size / num_attention_heads
    int64_t n_kv_heads = 0; ///< 0: num_attention_heads
    bool is_tied = false;
    const char* inner_field = "intermediate_size";
    RopeDefaults rope;
};

/// Pre-norm blocks with full attention, gated SiLU MLP, no biases. Checks sizes against each other.
model::DecoderSpec llama_layout(const Json& config, const LlamaDefaults& defaults);

/// hidden_act and its synonyms. Throws UnsupportedModel for an unknown word.
model::Activation activation_of(
    const ConfigReader& config, std::string_view field, std::string_view otherwise);

/// Which blocks slide: `layer_types` when present, else `otherwise(index)`.
std::vector<bool> sliding_layers(
    const ConfigReader& config, int64_t n_blocks, const std::function<bool(int64_t)>& otherwise);

/// Gives the blocks marked in `slides` the mask M2; no window: leaves them full.
void set_sliding(
    model::DecoderSpec& spec, const std::vector<bool>& slides, std::optional<int64_t> window);

/// One window for all blocks; the field missing gives `otherwise`, null gives none.
void set_window_of_all(
    model::DecoderSpec& spec, const ConfigReader& config, std::optional<int64_t> otherwise);

/// Bias on the q, k, v (and o) projections of all blocks.
void set_attention_bias(model::DecoderSpec& spec, bool qkv, bool o);

/// RMS norm of q and k per head before the rotary embedding, with the block's kind of norm.
void set_per_head_norm(model::DecoderSpec& spec);

} // namespace bitsmith::arch
