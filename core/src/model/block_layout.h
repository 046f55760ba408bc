// SPDX-License-Identifier: GPL-3.0-or-later
// The parameters of one block by their checkpoint names: the one place that expected tensors, layer
// lists and loading are derived from.
#pragma once

#include "model/decoder_spec.h"

#include <optional>
#include <string>
#include <vector>

namespace bitsmith::model {

/// A linear layer: "name.weight" [rows, columns] and, with `has_bias`, "name.bias" [rows].
struct LinearSlot
{
    std::string name;
    int64_t rows = 0;
    int64_t columns = 0;
    bool has_bias = false;
    bool quantizable = true;
    std::string unit;
};

/// "name.weight" [size].
struct NormSlot
{
    std::string name;
    NormSpec spec;
    int64_t size = 0;
};

/// Either qkv, or q, k and v.
struct AttentionLayout
{
    std::optional<LinearSlot> qkv, q, k, v;
    LinearSlot o;
    std::optional<NormSlot> q_norm, k_norm;
    std::string sinks; ///< tensor name; empty when there are none
};

/// Either gate_up, or gate and up.
struct MlpLayout
{
    std::optional<LinearSlot> gate_up, gate, up;
    LinearSlot down;
};

struct MoeLayout
{
    LinearSlot router;
    std::vector<MlpLayout> experts; ///< names of the layers, also when they are stored stacked
    std::string gate_up, down; ///< stacked storage: tensor names without suffix
};

struct BlockLayout
{
    NormSlot norm1, norm2;
    std::optional<NormSlot> norm1_post, norm2_post;
    AttentionLayout attention;
    std::optional<MlpLayout> mlp;
    std::optional<MoeLayout> moe;
};

BlockLayout block_layout(const DecoderSpec& spec, int64_t index);

/// "model.layers.0.self_attn" of block 0: where checkpoints keep the scales of its cache.
std::string attention_module(const DecoderSpec& spec, int64_t index);

/// All linear slots in execution order.
std::vector<LinearSlot> linear_slots(const BlockLayout& layout);

} // namespace bitsmith::model
