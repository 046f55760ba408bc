// SPDX-License-Identifier: GPL-3.0-or-later
// Which architectures are read from GGUF, and what their tensors are called in a Hugging Face
// checkpoint (formats.md 6.5). What happened to the weights on the way (6.6) is undone on loading.
#pragma once

#include "tensor/gguf_metadata.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitsmith::source {

enum class GgufRole
{
    Plain,
    Query, ///< rows in interleaved rotary order where the family says so
    Key, ///< the same, with the number of key/value heads
    Norm, ///< stored as 1 + weight where the family says so
    Router, ///< always stored in fp32
    Experts, ///< all experts of a layer stacked [experts, out, in]
    Bare, ///< a tensor without ".weight" in its Hugging Face name
};

/// A tensor of a block, both names without their prefix and without ".weight" or ".bias".
struct GgufRule
{
    std::string_view gguf; ///< after "blk.N."
    std::string_view hf; ///< after "model.layers.N."; "{e}" stands for the expert's number
    GgufRole role = GgufRole::Plain;
};

struct GgufFamily
{
    std::string_view arch; ///< general.architecture
    std::string_view model_type;
    std::string_view architecture; ///< class in config.json
    bool permuted_rotary = false; ///< query and key rows are interleaved pairs
    bool one_plus_norms = false; ///< norm weights are stored plus one
    bool has_experts = false;
    std::vector<GgufRule> block; ///< in checkpoint order
};

/// Throws FileCorrupt without general.architecture, UnsupportedModel for one that is not in the
/// table, with the nearest names.
const GgufFamily& gguf_family_for(const tensor::GgufMetadata& metadata);
std::span<const GgufFamily> gguf_families();

/// Tensors outside the blocks, in checkpoint order around the blocks.
inline constexpr GgufRule kGgufEmbedding{"token_embd", "model.embed_tokens"};
inline constexpr GgufRule kGgufFinalNorm{"output_norm", "model.norm", GgufRole::Norm};
inline constexpr GgufRule kGgufHead{"output", "lm_head"};

/// Derived tensors that config.json takes the place of.
bool is_gguf_config_tensor(std::string_view name);

} // namespace bitsmith::source
