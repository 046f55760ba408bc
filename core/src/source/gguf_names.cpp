// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_names.h"

#include "base/text.h"

#include <bitsmith/error.h>

namespace bitsmith::source {
namespace {

using Rules = std::vector<GgufRule>;

Rules operator+(Rules first, const Rules& second)
{
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

const Rules& input_norm()
{
    static const Rules rules{{"attn_norm", "input_layernorm", GgufRole::Norm}};
    return rules;
}

const Rules& attention()
{
    static const Rules rules{
        {"attn_q", "self_attn.q_proj", GgufRole::Query},
        {"attn_k", "self_attn.k_proj", GgufRole::Key},
        {"attn_v", "self_attn.v_proj"},
        {"attn_output", "self_attn.o_proj"},
    };
    return rules;
}

const Rules& head_norms()
{
    static const Rules rules{
        {"attn_q_norm", "self_attn.q_norm", GgufRole::Norm},
        {"attn_k_norm", "self_attn.k_norm", GgufRole::Norm},
    };
    return rules;
}

const Rules& second_norm()
{
    static const Rules rules{{"ffn_norm", "post_attention_layernorm", GgufRole::Norm}};
    return rules;
}

const Rules& sandwich_norms()
{
    static const Rules rules{
        {"post_attention_norm", "post_attention_layernorm", GgufRole::Norm},
        {"ffn_norm", "pre_feedforward_layernorm", GgufRole::Norm},
        {"post_ffw_norm", "post_feedforward_layernorm", GgufRole::Norm},
    };
    return rules;
}

const Rules& mlp()
{
    static const Rules rules{
        {"ffn_gate", "mlp.gate_proj"},
        {"ffn_up", "mlp.up_proj"},
        {"ffn_down", "mlp.down_proj"},
    };
    return rules;
}

const Rules& mixtral_experts()
{
    static const Rules rules{
        {"ffn_gate_inp", "block_sparse_moe.gate", GgufRole::Router},
        {"ffn_gate_exps", "block_sparse_moe.experts.{e}.w1", GgufRole::Experts},
        {"ffn_down_exps", "block_sparse_moe.experts.{e}.w2", GgufRole::Experts},
        {"ffn_up_exps", "block_sparse_moe.experts.{e}.w3", GgufRole::Experts},
    };
    return rules;
}

/// gpt-oss stores them stacked; its layers bear these names.
const Rules& numbered_experts()
{
    static const Rules rules{
        {"ffn_gate_exps", "mlp.experts.{e}.gate_proj", GgufRole::Experts},
        {"ffn_up_exps", "mlp.experts.{e}.up_proj", GgufRole::Experts},
        {"ffn_down_exps", "mlp.experts.{e}.down_proj", GgufRole::Experts},
    };
    return rules;
}

const Rules& qwen_experts()
{
    static const Rules rules =
        Rules{{"ffn_gate_inp", "mlp.gate", GgufRole::Router}} + numbered_experts();
    return rules;
}

const Rules& gpt_oss_block()
{
    static const Rules rules =
        Rules{{"attn_sinks", "self_attn.sinks", GgufRole::Bare},
            {"post_attention_norm", "post_attention_layernorm", GgufRole::Norm},
            {"ffn_gate_inp", "mlp.router", GgufRole::Router}}
        + numbered_experts();
    return rules;
}

/// Fused projections stay fused.
const Rules& phi3_block()
{
    static const Rules rules{
        {"attn_qkv", "self_attn.qkv_proj"},
        {"attn_output", "self_attn.o_proj"},
        {"ffn_up", "mlp.gate_up_proj"},
        {"ffn_down", "mlp.down_proj"},
    };
    return rules;
}

std::vector<GgufFamily> make_families()
{
    const Rules llama = input_norm() + attention() + second_norm();
    const Rules qwen3 = input_norm() + attention() + head_norms() + second_norm();
    return {
        {"llama", "llama", "LlamaForCausalLM", true, false, false, llama + mlp()},
        {"llama", "mixtral", "MixtralForCausalLM", true, false, true, llama + mixtral_experts()},
        {"qwen2", "qwen2", "Qwen2ForCausalLM", false, false, false, llama + mlp()},
        {"qwen3", "qwen3", "Qwen3ForCausalLM", false, false, false, qwen3 + mlp()},
        {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", false, false, true,
            qwen3 + qwen_experts()},
        {"gemma", "gemma", "GemmaForCausalLM", false, true, false, llama + mlp()},
        {"gemma2", "gemma2", "Gemma2ForCausalLM", false, true, false,
            input_norm() + attention() + sandwich_norms() + mlp()},
        {"gemma3", "gemma3_text", "Gemma3ForCausalLM", false, true, false,
            input_norm() + attention() + head_norms() + sandwich_norms() + mlp()},
        {"phi3", "phi3", "Phi3ForCausalLM", false, false, false,
            input_norm() + second_norm() + phi3_block()},
        {"gpt-oss", "gpt_oss", "GptOssForCausalLM", false, false, true,
            input_norm() + attention() + gpt_oss_block()},
    };
}

} // namespace

std::span<const GgufFamily> gguf_families()
{
    static const std::vector<GgufFamily> families = make_families();
    return families;
}

const GgufFamily& gguf_family_for(const tensor::GgufMetadata& metadata)
{
    const auto arch = metadata.text("general.architecture");
    if (!arch) {
        fail(ErrorCode::FileCorrupt, "GGUF does not name its architecture",
            {{"file", metadata.file()}, {"field", "general.architecture"}});
    }
    const bool has_experts = metadata.integer(*arch + ".expert_count").value_or(0) > 0;
    std::vector<std::string> known;
    for (const GgufFamily& family : gguf_families()) {
        if (family.arch == *arch && family.has_experts == has_experts) {
            return family;
        }
        known.emplace_back(concat(family.arch, family.has_experts ? " with experts" : ""));
    }
    fail(ErrorCode::UnsupportedModel, "GGUF models of this architecture are not read",
        {{"file", metadata.file()}, {"field", "general.architecture"},
            {"found", concat(printable(*arch), has_experts ? " with experts" : "")},
            {"allowed", join(known, ", ")}},
        "Name the model's Hugging Face folder instead.");
}

bool is_gguf_config_tensor(std::string_view name)
{
    return name == "rope_freqs.weight" || name == "rope_factors_long.weight"
        || name == "rope_factors_short.weight";
}

} // namespace bitsmith::source
