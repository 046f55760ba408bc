// SPDX-License-Identifier: GPL-3.0-or-later
// GGUF presets that mix types ("q4_k_m"): which concrete type each layer gets.
// Source: formats.md 6.8 (rules of llama.cpp), algorithm.md 3.4 (q2_k_mixed).
#pragma once

#include <bitsmith/fields.h>
#include <bitsmith/model_info.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace bitsmith::plan {

/// What a layer is called in a GGUF file, as far as the rules tell layers apart.
enum class GgufCategory
{
    AttnQ,
    AttnK,
    AttnV, ///< and the fused projection: llama.cpp treats it as attn_v
    AttnOutput,
    FfnGateUp,
    FfnDown,
    Output, ///< lm_head, and an embedding that takes its place
    TokenEmbd,
    Other,
};

/// A layer as the rules see it.
struct GgufLayer
{
    GgufCategory category = GgufCategory::Other;
    bool is_expert = false; ///< routed; shared experts are not
    int64_t index = 0; ///< among the layers of the category; the experts of a block count once
    int64_t n_layers = 0; ///< blocks of the model
    int64_t gqa = 0; ///< query heads per key/value head; 0: not known
    int64_t n_experts = 0;
    bool is_llama_70b = false; ///< llama architecture, 80 blocks, shared key/value heads
};

/// Every layer of the model, in the order of `model.layers`.
std::vector<GgufLayer> gguf_layers(const ModelInfo& model);

/// Concrete type ("q6_k") of a layer in a file of `preset`: a mix ("q4_k_m"), or a type that
/// quantizes ("q4_0").
std::string_view gguf_layer_type(std::string_view preset, const GgufLayer& layer);

/// The same for a tensor outside the blocks, Output or TokenEmbd, with rows of `columns`; a type
/// whose blocks fit the rows as long as those of 32 do.
std::string_view gguf_table_type(std::string_view preset, GgufCategory table, int64_t columns);

/// Whether rows of `columns` hold whole super-blocks of a K type.
bool fits_k_types(int64_t columns);

/// What llama.cpp stores instead of a K type whose super-blocks do not fit; empty for other types.
std::string_view gguf_fallback_type(std::string_view type);

} // namespace bitsmith::plan

template <>
struct bitsmith::EnumNames<bitsmith::plan::GgufCategory>
{
    static constexpr std::array<std::string_view, 9> names = {"attn_q", "attn_k", "attn_v",
        "attn_output", "ffn_gate_up", "ffn_down", "output", "token_embd", "other"};
};
