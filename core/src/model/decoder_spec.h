// SPDX-License-Identifier: GPL-3.0-or-later
// The typed, complete description of a decoder. Everything a block needs at run time is resolved
// once, per block; nothing looks at JSON after that. Source: models.md 1 (the axes and their
// values) and 3.1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitsmith::model {

enum class NormKind
{
    Rms,
    RmsOnePlus,
    RmsNoWeight,
    Layer,
    LayerOnePlus,
    LayerNoParams
};
enum class NormCast
{
    CastThenScale,
    ScaleThenCast
}; // N1 against N2
enum class Wiring
{
    Pre,
    PostBranch,
    Sandwich,
    ParallelOneNorm,
    ParallelTwoNorms,
    PostSum,
    NormedResidual
};
enum class MixerKind
{
    Attention,
    LatentAttention,
    GatedDelta,
    ShortConv,
    KimiDelta,
    Lightning,
    Mamba1,
    Mamba2,
    SkippedForText
}; // mllama cross blocks
enum class QkNorm
{
    None,
    PerHead,
    PerHeadAfterRotary,
    WholeProjection,
    PerHeadOwnWeights,
    WeightlessAfterRotary
};
enum class MaskKind
{
    Causal,
    Sliding,
    Chunked
};
enum class RotaryPair
{
    HalfSplit,
    Interleaved
};
enum class RotaryKind
{
    None,
    Default,
    Linear,
    Dynamic,
    DynamicAlpha,
    Llama3,
    Yarn,
    LongRope,
    LongRopeFixedShort,
    Proportional
};
enum class Positions
{
    Rotary,
    Learned,
    Alibi,
    AlibiScaledBf16,
    AlibiMpt,
    Nothing
};
enum class Activation
{
    Silu,
    GeluErf,
    GeluTanh,
    QuickGelu,
    Relu,
    Relu2,
    Xielu,
    GptOssClamped
};
enum class MlpKind
{
    Gated,
    Plain,
    GatedSubNorm
};
enum class Router
{
    SoftmaxTopK,
    TopKSoftmax,
    SoftmaxGroupMax,
    SigmoidGroups,
    SigmoidBias,
    SoftmaxBias,
    SigmoidScaleInput,
    SparseMixer,
    NormedSoftmax,
    SoftmaxGroupSum
};
enum class Fusion
{
    None,
    Flat,
    PerHead,
    Grouped,
    CodeGen,
    QWithGate
}; // row order of a fused q/k/v
enum class Experts
{
    PerExpert,
    Stacked,
    StackedTransposed,
    StackedInterleaved,
    Mxfp4Interleaved
};
enum class ScaleKind
{
    PerHeadDim,
    Explicit
};
enum class TempKind
{
    None,
    AllLayers,
    NoRopeLayers
};

struct NormSpec
{
    NormKind kind = NormKind::Rms;
    NormCast cast = NormCast::CastThenScale;
    double eps = 1e-6;
    bool has_bias = false;

    bool operator==(const NormSpec&) const = default;
};

struct RotarySpec
{
    RotaryKind kind = RotaryKind::Default;
    RotaryPair pair = RotaryPair::HalfSplit;
    double theta = 10000.0;
    double partial = 1.0;
    double factor = 1.0;
    bool has_factor = false;
    int64_t original_length = 0, max_length = 0;
    double low_freq = 1, high_freq = 4; // llama3
    double beta_fast = 32, beta_slow = 1;
    bool truncate = true;
    std::optional<double> attention_factor, mscale, mscale_all_dim;
    double alpha = 0, short_mscale = 0, long_mscale = 0;
    std::vector<double> short_factor, long_factor;
    bool compute_in_fp32 = false;

    bool operator==(const RotarySpec&) const = default;
};

struct LatentSpec
{
    int64_t kv_rank = 0, q_rank = 0 /*0 = direct*/, nope_dim = 0, rope_dim = 0, value_dim = 0;
    double norm_eps = 1e-6;
    bool bias = false;
};

struct AttentionSpec
{
    int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0, value_dim = 0;
    double scale = 0; // already resolved, including yarn and 1/(layer+1)
    double softcap = 0, clip = 0; // 0 = off
    bool q_bias = false, kv_bias = false, o_bias = false;
    bool has_sinks = false, has_output_gate = false, has_value_norm = false, value_is_key = false;
    QkNorm qk_norm = QkNorm::None;
    NormSpec qk_norm_spec;
    std::optional<NormSpec> sub_norm;
    MaskKind mask = MaskKind::Causal;
    int64_t window = 0;
    RotarySpec rotary; // kind None = NoPE layer
    TempKind temperature = TempKind::None;
    double temp_scale = 0;
    int64_t temp_floor = 0;
    std::optional<LatentSpec> latent;
    std::optional<int> kv_from_block; // shared keys/values
    double key_multiplier = 1;
};

struct MixerSpec
{
    int64_t key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0, kernel = 4, state = 0,
            groups = 1, rank = 0;
    bool fused_in_proj = false;
    NormSpec out_norm;
};

struct RouterSpec
{
    Router kind = Router::SoftmaxTopK;
    int64_t top_k = 0;
    bool renormalize = false, has_bias = false, weights_fp32 = false, matmul_fp32 = false;
    double renorm_eps = 0, renorm_min = 0, scaling = 1, jitter = 0.01;
    int64_t n_groups = 1, top_groups = 1;
};

struct MoeSpec
{
    int64_t n_experts = 0, expert_dim = 0;
    RouterSpec router;
    Experts storage = Experts::PerExpert;
    bool expert_bias = false;
    int64_t shared_dim = 0;
    bool shared_gate = false, beside_dense = false;
};

struct MlpSpec
{
    MlpKind kind = MlpKind::Gated;
    Activation act = Activation::Silu;
    int64_t dim = 0;
    bool bias = false, fused_gate_up = false;
};

struct BlockSpec
{
    MixerKind mixer = MixerKind::Attention;
    Wiring wiring = Wiring::Pre;
    NormSpec norm;
    AttentionSpec attention;
    MixerSpec other;
    MlpSpec mlp;
    std::optional<MoeSpec> moe;
    double residual_scale = 1, alpha = 1, beta = 1; // alpha, beta: NormedResidual
    bool has_block_scalar = false;
    int64_t per_layer_dim = 0;
};

struct BlockNames
{ // relative to the block prefix; empty = absent
    std::string norm1, norm1_post, norm2, norm2_post;
    std::string q, k, v, o, qkv, q_norm, k_norm, sinks, gate_proj;
    std::string up, gate, down, gate_up, sub_norm;
    std::string router, correction_bias, expert /* "mlp.experts.{e}." */, expert_gate, expert_up,
        expert_down;
    std::string experts_gate_up, experts_down; // tensors that hold all experts of a block
    std::string shared, shared_gate;
    Fusion fusion = Fusion::None;
    bool conv1d = false;
};

struct ModelNames
{
    std::string block /* "model.layers.{i}." */, embedding, position_embedding, embedding_norm,
        project_in, final_norm, project_out, head;
    std::vector<std::string> prefixes, pass_through;
};

struct DecoderSpec
{
    std::string family, model_type;
    int64_t hidden = 0, vocab = 0, max_length = 0;
    Positions positions = Positions::Rotary;
    int64_t position_offset = 0;
    double embedding_scale = 1, logits_scale = 1, logits_softcap = 0;
    bool is_tied = false, head_bias = false;
    bool round_embedding_scale = false;
    NormSpec final_norm;
    bool has_final_norm = true;
    std::vector<BlockSpec> blocks; // L entries: patterns are already expanded
    BlockNames names;
    ModelNames model_names;
};

} // namespace bitsmith::model
