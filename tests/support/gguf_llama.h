// SPDX-License-Identifier: GPL-3.0-or-later
// A Llama of one block as another program would write it: hidden 16, four heads, four tokens.
#pragma once

#include "support/gguf_builder.h"

#include <string>
#include <vector>

namespace bitsmith::test {

inline constexpr uint64_t kLlamaHidden = 16, kLlamaWidth = 32, kLlamaVocab = 4;

/// What may be different about the file.
struct GgufLlama
{
    std::string pre = "gpt-2"; ///< empty: the key is absent
    bool has_token_types = true;
    uint32_t kv_heads = 2; ///< as the metadata says; the tensors have two
    Bytes down = {}; ///< blk.0.ffn_down.weight as Q8_0; empty: F32
};

inline void add_matrix(
    GgufBuilder& builder, const std::string& name, uint64_t columns, uint64_t rows)
{
    std::vector<float> values(columns * rows);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(i % 7) * 0.01F;
    }
    builder.floats(name, {columns, rows}, values);
}

inline void add_norm(GgufBuilder& builder, const std::string& name)
{
    builder.floats(name, {kLlamaHidden}, std::vector<float>(kLlamaHidden, 1.0F));
}

inline void add_llama_block(
    GgufBuilder& builder, const std::string& prefix, const GgufLlama& llama = {})
{
    add_norm(builder, prefix + "attn_norm.weight");
    add_norm(builder, prefix + "ffn_norm.weight");
    add_matrix(builder, prefix + "attn_q.weight", kLlamaHidden, kLlamaHidden);
    add_matrix(builder, prefix + "attn_k.weight", kLlamaHidden, kLlamaHidden / 2);
    add_matrix(builder, prefix + "attn_v.weight", kLlamaHidden, kLlamaHidden / 2);
    add_matrix(builder, prefix + "attn_output.weight", kLlamaHidden, kLlamaHidden);
    add_matrix(builder, prefix + "ffn_gate.weight", kLlamaHidden, kLlamaWidth);
    add_matrix(builder, prefix + "ffn_up.weight", kLlamaHidden, kLlamaWidth);
    if (llama.down.empty()) {
        add_matrix(builder, prefix + "ffn_down.weight", kLlamaWidth, kLlamaHidden);
    } else {
        builder.tensor(prefix + "ffn_down.weight", {kLlamaWidth, kLlamaHidden}, 8, llama.down);
    }
}

inline void add_llama_metadata(GgufBuilder& builder, const GgufLlama& llama = {})
{
    builder.text("general.architecture", "llama").u32("llama.embedding_length", kLlamaHidden);
    builder.u32("llama.block_count", 1).u32("llama.context_length", 64);
    builder.u32("llama.feed_forward_length", kLlamaWidth).u32("llama.attention.head_count", 4);
    builder.u32("llama.attention.head_count_kv", llama.kv_heads);
    builder.f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    builder.text("tokenizer.ggml.model", "gpt2");
    if (!llama.pre.empty()) {
        builder.text("tokenizer.ggml.pre", llama.pre);
    }
    builder.texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<end>"});
    if (llama.has_token_types) {
        builder.array<int32_t>("tokenizer.ggml.token_type", 5, {1, 1, 1, 3});
    }
    builder.texts("tokenizer.ggml.merges", {"a b"}).u32("tokenizer.ggml.eos_token_id", 3);
    builder.text("tokenizer.chat_template", "{{ messages[0].content }}");
}

inline GgufBuilder small_llama(const GgufLlama& llama = {})
{
    GgufBuilder builder;
    add_llama_metadata(builder, llama);
    add_matrix(builder, "token_embd.weight", kLlamaHidden, kLlamaVocab);
    add_llama_block(builder, "blk.0.", llama);
    add_norm(builder, "output_norm.weight");
    return builder;
}

} // namespace bitsmith::test
