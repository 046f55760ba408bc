// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/graph.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <array>
#include <cmath>

namespace bitsmith::exporting {

namespace {

using model::Activation;
using model::AttentionSpec;
using model::BlockSpec;
using model::MaskKind;
using model::RotaryKind;
using model::RotarySpec;

constexpr auto kSilu = Activation::Silu, kGelu = Activation::GeluTanh;
constexpr auto kNone = GgufBiases::None;
constexpr auto kPlain = RotaryKind::Default;

//  arch, activation, attention biases, head, window period, local rotary, large blocks, tensors
constexpr std::array kGraphs = {
    GgufGraph{"llama", kSilu, GgufBiases::Allowed, true, 0, false, 0, RotaryKind::Llama3},
    GgufGraph{"qwen2", kSilu, GgufBiases::Allowed, true, 0, false, 0, kPlain},
    GgufGraph{"qwen3", kSilu, kNone, true, 0, false, 0, kPlain},
    GgufGraph{"qwen3moe", kSilu, kNone, true, 0, false, 0, kPlain},
    GgufGraph{"gemma", kGelu, kNone, false, 0, false, 0, kPlain},
    GgufGraph{"gemma2", kGelu, kNone, false, 2, false, 46, kPlain},
    GgufGraph{"gemma3", kGelu, kNone, true, 6, true, 62, kPlain},
    GgufGraph{"phi3", kSilu, kNone, true, 0, false, 0, RotaryKind::LongRope},
    GgufGraph{
        "gpt-oss", Activation::GptOssClamped, GgufBiases::Required, true, 2, false, 0, kPlain},
};

[[noreturn]] void cannot_say(const char* what, std::string found, std::string allowed)
{
    fail(ErrorCode::UnsupportedModel,
        concat("llama.cpp computes this architecture with another ", what),
        {{"field", what}, {"found", std::move(found)}, {"allowed", std::move(allowed)}},
        "Export in another format.");
}

void check_activation(const BlockSpec& block, const GgufGraph& graph)
{
    if (block.mlp.act != graph.act) {
        cannot_say("activation", "another function",
            graph.act == kSilu       ? "silu"
                : graph.act == kGelu ? "gelu with tanh"
                                     : "that of gpt-oss");
    }
}

void check_biases(const AttentionSpec& attention, const GgufGraph& graph)
{
    const bool any = attention.q_bias || attention.kv_bias || attention.o_bias;
    const bool all = attention.q_bias && attention.kv_bias && attention.o_bias;
    if (graph.attention_biases == GgufBiases::None && any) {
        cannot_say("kind of projections", "biases in the attention", "none");
    }
    if (graph.attention_biases == GgufBiases::Required && !all) {
        cannot_say("kind of projections", "no biases in the attention", "biases");
    }
}

void check_scale(const model::DecoderSpec& spec, const GgufGraph& graph)
{
    const AttentionSpec& attention = spec.blocks.front().attention;
    const bool large = static_cast<int64_t>(spec.blocks.size()) == graph.large_blocks;
    const int64_t width = large ? spec.hidden / attention.n_heads : attention.head_dim;
    const double expected = 1.0 / std::sqrt(static_cast<double>(width));
    // longrope's own factor on the scores travels in rope.scaling.attn_factor.
    if (std::abs(attention.scale - expected) > 1e-6 * expected) {
        cannot_say("attention scale", concat(attention.scale), concat(expected));
    }
}

void check_windows(const model::DecoderSpec& spec, const GgufGraph& graph)
{
    const int64_t period = graph.window_period;
    for (std::size_t i = 0; period > 0 && i < spec.blocks.size(); ++i) {
        const bool full = (static_cast<int64_t>(i) + 1) % period == 0;
        if (full != (spec.blocks[i].attention.mask == MaskKind::Causal)) {
            cannot_say("pattern of windows",
                concat("block ", i, full ? " has a window" : " has none"),
                concat("no window in every ", period, "th block"));
        }
    }
}

/// Of the blocks that most keys are about.
void check_scaling(const RotarySpec& rotary, const GgufGraph& graph)
{
    const bool by_tensor = rotary.kind == RotaryKind::Llama3 || rotary.kind == RotaryKind::LongRope;
    const bool by_key = rotary.kind == RotaryKind::Default || rotary.kind == RotaryKind::Linear
        || rotary.kind == RotaryKind::Dynamic || rotary.kind == RotaryKind::Yarn;
    if (by_tensor ? rotary.kind != graph.rotary_tensors : !by_key) {
        cannot_say("rotary scaling", by_tensor ? "a list of factors" : "a kind without a key",
            graph.rotary_tensors == RotaryKind::Llama3         ? "none, linear, yarn, llama3"
                : graph.rotary_tensors == RotaryKind::LongRope ? "none, linear, yarn, longrope"
                                                               : "none, linear, yarn");
    }
}

void check_rotary(const model::DecoderSpec& spec, const GgufGraph& graph)
{
    const RotarySpec& full = full_attention(spec).rotary;
    check_scaling(full, graph);
    for (const BlockSpec& block : spec.blocks) {
        const RotarySpec& rotary = block.attention.rotary;
        const bool is_local = graph.local_rotary && block.attention.mask == MaskKind::Sliding;
        if (is_local ? rotary.kind != RotaryKind::Default : !(rotary == full)) {
            cannot_say("rotary embedding", "blocks that differ",
                graph.local_rotary ? "blocks with a window unscaled, all others alike"
                                   : "all blocks alike");
        }
    }
}

/// Mixtures weigh the chosen experts by their scores alone, so that the weights add up to 1.
void check_experts(const model::DecoderSpec& spec)
{
    const bool has_experts = spec.blocks.front().moe.has_value();
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        const auto& moe = spec.blocks[i].moe;
        if (moe.has_value() != has_experts) {
            cannot_say("arrangement of experts",
                concat("block ", i, has_experts ? " has none" : " has some"),
                "experts in every block or in none");
        }
        if (moe && moe->router.kind == model::Router::SoftmaxTopK && !moe->router.renormalize) {
            cannot_say("weighing of experts", "weights that do not add up to 1 (norm_topk_prob)",
                "weights that do");
        }
    }
}

} // namespace

const GgufGraph& gguf_graph(std::string_view arch)
{
    const auto found = std::find_if(kGraphs.begin(), kGraphs.end(),
        [arch](const GgufGraph& graph) { return graph.arch == arch; });
    if (found == kGraphs.end()) {
        fail(ErrorCode::Internal, "no graph of this GGUF architecture is known",
            {{"found", std::string(arch)}});
    }
    return *found;
}

void check_gguf_graph(const model::DecoderSpec& spec, std::string_view arch)
{
    if (spec.blocks.empty()) {
        fail(ErrorCode::UnsupportedModel, "a model without blocks cannot be written as GGUF");
    }
    const GgufGraph& graph = gguf_graph(arch);
    check_scale(spec, graph);
    check_windows(spec, graph);
    check_activation(spec.blocks.front(), graph);
    check_biases(spec.blocks.front().attention, graph);
    check_rotary(spec, graph);
    check_experts(spec);
    if (!graph.has_head && !spec.is_tied) {
        cannot_say("head", "a head of its own", "the embedding");
    }
}

const AttentionSpec& full_attention(const model::DecoderSpec& spec)
{
    for (const BlockSpec& block : spec.blocks) {
        if (block.attention.mask == MaskKind::Causal) {
            return block.attention;
        }
    }
    return spec.blocks.front().attention;
}

const AttentionSpec* windowed_attention(const model::DecoderSpec& spec)
{
    for (const BlockSpec& block : spec.blocks) {
        if (block.attention.mask == MaskKind::Sliding) {
            return &block.attention;
        }
    }
    return nullptr;
}

} // namespace bitsmith::exporting
