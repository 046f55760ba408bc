// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/spec_check.h"

#include "model/decoder_block.h"
#include "model/expert_storage.h"
#include "model/rope.h"
#include "model/weight_loader.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

namespace {

/// Far above any model; below what would need memory before the tensors are looked at.
constexpr int64_t kMaxHeadDim = 65536, kMaxExperts = 65536;

void require(bool implemented, const char* field, const std::string& model_type)
{
    if (!implemented) {
        fail(ErrorCode::UnsupportedModel, "the decoder does not implement this variant yet",
            {{"field", field}, {"model_type", model_type}});
    }
}

void require_number(bool holds, const char* field, int64_t found, const char* allowed)
{
    if (!holds) {
        fail(ErrorCode::InvalidSpec, "the sizes of the model contradict each other",
            {{"field", field}, {"found", std::to_string(found)}, {"allowed", allowed}});
    }
}

bool is_rms(const NormSpec& norm)
{
    return (norm.kind == NormKind::Rms || norm.kind == NormKind::RmsOnePlus) && !norm.has_bias;
}

void check_rotary(const RotarySpec& rotary, int64_t head_dim, const std::string& type)
{
    switch (rotary.kind) {
    case RotaryKind::None:
        return;
    case RotaryKind::Default:
    case RotaryKind::Linear:
    case RotaryKind::Dynamic:
    case RotaryKind::Llama3:
    case RotaryKind::Yarn:
    case RotaryKind::LongRope:
        break;
    case RotaryKind::DynamicAlpha:
    case RotaryKind::LongRopeFixedShort:
    case RotaryKind::Proportional:
        require(false, "rope_type", type);
    }
    require(rotary.pair == RotaryPair::HalfSplit, "rotary pair", type);
    require(!rotary.compute_in_fp32, "rotary arithmetic in fp32", type);
    rotary_frequencies(rotary, head_dim, 1); // its own checks of sizes and factors
}

void check_attention(const AttentionSpec& a, const DecoderSpec& spec)
{
    const std::string& type = spec.model_type;
    require_number(a.n_heads > 0, "num_attention_heads", a.n_heads, "positive");
    require_number(a.n_kv_heads > 0 && a.n_heads % a.n_kv_heads == 0, "num_key_value_heads",
        a.n_kv_heads, "a divisor of num_attention_heads");
    require_number(a.head_dim > 0 && a.head_dim <= kMaxHeadDim, "head_dim", a.head_dim, "1..65536");
    require(a.value_dim == a.head_dim, "v_head_dim", type);
    require(a.clip == 0, "clip_qkv", type);
    require(!a.has_output_gate, "attention output gate", type);
    require(!a.has_value_norm && !a.value_is_key, "value norm", type);
    require(a.qk_norm == QkNorm::None || a.qk_norm == QkNorm::PerHead, "qk norm", type);
    require(a.qk_norm == QkNorm::None || is_rms(a.qk_norm_spec), "qk norm", type);
    require(!a.sub_norm, "attention sub-norm", type);
    require(a.mask != MaskKind::Chunked, "attention_chunk_size", type);
    require(a.temperature == TempKind::None, "query temperature", type);
    require(!a.latent, "kv_lora_rank", type);
    require(!a.kv_from_block, "num_kv_shared_layers", type);
    require(a.key_multiplier == 1, "key_multiplier", type);
    const Fusion fusion = spec.names.fusion;
    require(fusion == Fusion::None || fusion == Fusion::Flat, "fused q/k/v", type);
    check_rotary(a.rotary, a.head_dim, type);
}

void check_moe(const MoeSpec& moe, const std::string& type)
{
    const RouterSpec& router = moe.router;
    require(
        router.kind == Router::SoftmaxTopK || router.kind == Router::TopKSoftmax, "router", type);
    require(router.scaling == 1 && router.renorm_eps == 0 && router.renorm_min == 0
            && !router.matmul_fp32 && router.n_groups == 1,
        "router", type);
    require(moe.shared_dim == 0 && !moe.shared_gate && !moe.beside_dense, "shared experts", type);
    require_number(moe.n_experts > 0 && moe.n_experts <= kMaxExperts, "num_experts", moe.n_experts,
        "1..65536");
    require_number(router.top_k > 0 && router.top_k <= moe.n_experts, "num_experts_per_tok",
        router.top_k, "1..number of experts");
}

void check_block(const BlockSpec& block, const DecoderSpec& spec)
{
    const std::string& type = spec.model_type;
    require(block.mixer == MixerKind::Attention, "layer_types", type);
    require(block.wiring == Wiring::Pre || block.wiring == Wiring::PostBranch
            || block.wiring == Wiring::Sandwich,
        "wiring", type);
    require(is_rms(block.norm), "norm", type);
    require(block.residual_scale == 1 && block.alpha == 1 && block.beta == 1, "residual_multiplier",
        type);
    require(!block.has_block_scalar && block.per_layer_dim == 0, "per-layer inputs", type);
    check_attention(block.attention, spec);
    if (block.moe) {
        check_moe(*block.moe, type);
    } else {
        require(block.mlp.kind == MlpKind::Gated, "mlp", type);
        require_number(block.mlp.dim > 0, "intermediate_size", block.mlp.dim, "positive");
    }
    require(block.mlp.act != Activation::Xielu, "hidden_act", type);
    require(
        block.moe.has_value() || block.mlp.act != Activation::GptOssClamped, "hidden_act", type);
}

/// The sizes in config.json that shapes of a block follow from.
Error::Context sizes_of(const DecoderSpec& spec, const BlockSpec& block)
{
    const auto text = [](int64_t size) { return std::to_string(size); };
    return {{"hidden_size", text(spec.hidden)},
        {"num_attention_heads", text(block.attention.n_heads)},
        {"num_key_value_heads", text(block.attention.n_kv_heads)},
        {"head_dim", text(block.attention.head_dim)}};
}

void check_block_tensors(
    const DecoderSpec& spec, int64_t index, const tensor::TensorSource& tensors)
{
    for (const ExpectedTensor& expected : expected_block_tensors(spec, index)) {
        try {
            check_tensor(tensors, expected.name, expected.shape);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::ShapeMismatch) {
                throw;
            }
            Error::Context context = error.context();
            const BlockSpec& block = spec.blocks[static_cast<std::size_t>(index)];
            for (auto& size : sizes_of(spec, block)) {
                context.push_back(std::move(size));
            }
            fail(error.code(), error.message(), std::move(context), error.hint());
        }
    }
}

} // namespace

void check_spec(const DecoderSpec& spec)
{
    const std::string& type = spec.model_type;
    require(spec.positions == Positions::Rotary, "positions", type);
    require(is_rms(spec.final_norm) && spec.has_final_norm, "final norm", type);
    require(!spec.names.conv1d, "Conv1D weights", type);
    require(spec.model_names.position_embedding.empty() && spec.model_names.embedding_norm.empty()
            && spec.model_names.project_in.empty() && spec.model_names.project_out.empty(),
        "embedding", type);
    require_number(!spec.blocks.empty(), "num_hidden_layers", 0, "positive");
    for (const BlockSpec& block : spec.blocks) {
        check_block(block, spec);
    }
}

void resolve_from_tensors(DecoderSpec& spec, const tensor::TensorSource& tensors)
{
    resolve_expert_storage(spec, tensors);
    const std::string head = spec.model_names.head + ".weight";
    const std::string embedding = spec.model_names.embedding + ".weight";
    if (!tensors.find(head)) {
        spec.is_tied = true;
    } else if (spec.is_tied && tensors.find(embedding)) {
        const at::Tensor a = tensors.load(head), b = tensors.load(embedding);
        spec.is_tied = a.sizes() == b.sizes() && at::equal(a.to(b.scalar_type()), b);
    }
}

std::vector<std::string> outer_tensor_names(const DecoderSpec& spec)
{
    std::vector<std::string> names{
        spec.model_names.embedding + ".weight", spec.model_names.final_norm + ".weight"};
    if (!spec.is_tied) {
        names.push_back(spec.model_names.head + ".weight");
        if (spec.head_bias) {
            names.push_back(spec.model_names.head + ".bias");
        }
    }
    return names;
}

void check_tensors(const DecoderSpec& spec, const tensor::TensorSource& tensors)
{
    for (const std::string& name : outer_tensor_names(spec)) {
        const tensor::TensorEntry* entry = tensors.find(name);
        const bool table = entry && entry->shape.size() == 2;
        if (table && entry->shape[1] == spec.hidden && entry->shape[0] >= spec.vocab) {
            continue;
        }
        if (name == spec.model_names.final_norm + ".weight") {
            check_tensor(tensors, name, {spec.hidden});
        } else if (name == spec.model_names.head + ".bias") {
            check_tensor(tensors, name, {spec.vocab});
        } else {
            check_tensor(tensors, name, {spec.vocab, spec.hidden});
        }
    }
    for (int64_t i = 0; i < static_cast<int64_t>(spec.blocks.size()); ++i) {
        check_block_tensors(spec, i, tensors);
    }
}

} // namespace bitsmith::model
