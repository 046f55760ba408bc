// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/mlx_config.h"

#include "arch/registry.h"
#include "base/text.h"
#include "export/config_writer.h"
#include "export/folder_format.h"

#include <array>

namespace bitsmith::exporting {

namespace {

using model::BlockSpec;
using model::MaskKind;
using model::RotaryKind;
using model::RotarySpec;

/// Which windows a class has.
enum class Windows
{
    None,
    EveryNth, ///< in all blocks but every n-th
    ByLayer, ///< as layer_types says, with blocks of both kinds
};

/// The output matrix of a class, beside the embedding.
enum class Head
{
    Embedding, ///< none
    Optional,
    Own, ///< always
};

/// What the class of mlx-lm for a model_type can do.
struct MlxClass
{
    std::string_view model_type;
    Head head;
    bool scales_rotary;
    Windows windows;
    bool has_biases; ///< in the attention
    bool has_head_size; ///< otherwise hidden / heads
    std::string_view experts; ///< module of a block that holds them stacked; empty: it has none
    bool mixes_dense; ///< has blocks without experts beside those with them
};
constexpr std::array kClasses = {
    MlxClass{"llama", Head::Optional, true, Windows::None, true, true, "", false},
    MlxClass{"mistral", Head::Optional, true, Windows::None, true, true, "", false},
    MlxClass{"mixtral", Head::Optional, false, Windows::None, false, false,
        "block_sparse_moe.switch_mlp", false},
    MlxClass{"qwen2", Head::Optional, true, Windows::None, true, false, "", false},
    MlxClass{"qwen3", Head::Optional, true, Windows::None, false, true, "", false},
    MlxClass{
        "qwen3_moe", Head::Optional, false, Windows::None, false, true, "mlp.switch_mlp", true},
    MlxClass{"gemma", Head::Embedding, false, Windows::None, false, true, "", false},
    MlxClass{"gemma2", Head::Embedding, false, Windows::None, false, true, "", false},
    MlxClass{"gemma3_text", Head::Optional, true, Windows::EveryNth, false, true, "", false},
    MlxClass{"phi3", Head::Optional, true, Windows::None, false, false, "", false},
    MlxClass{"gpt_oss", Head::Own, true, Windows::ByLayer, true, true, "mlp.experts", false},
};

const MlxClass* class_for(std::string_view model_type)
{
    const auto found = std::find_if(kClasses.begin(), kClasses.end(),
        [&](const MlxClass& known) { return known.model_type == model_type; });
    return found == kClasses.end() ? nullptr : &*found;
}

[[noreturn]] void refuse(const char* what, const std::string& found, const std::string& allowed)
{
    fail(ErrorCode::UnsupportedModel, what,
        {{"format", "mlx"}, {"found", found}, {"allowed", allowed}}, "Choose another format.");
}

bool slides(const BlockSpec& block)
{
    return block.attention.mask == MaskKind::Sliding;
}

/// Word of rope_scaling; empty for kinds that mlx-lm does not have.
std::string_view rotary_word(RotaryKind kind)
{
    switch (kind) {
    case RotaryKind::Default:
        return "default";
    case RotaryKind::Linear:
        return "linear";
    case RotaryKind::Dynamic:
        return "dynamic";
    case RotaryKind::Llama3:
        return "llama3";
    case RotaryKind::Yarn:
        return "yarn";
    case RotaryKind::LongRope:
        return "longrope";
    default:
        return {};
    }
}

void check_rotary(const RotarySpec& rotary, const MlxClass& known)
{
    const std::string word(rotary_word(rotary.kind));
    const bool is_phi = known.model_type == "phi3";
    const bool has_kind = rotary.kind == RotaryKind::Default
        || (known.scales_rotary && !word.empty()
            && (!is_phi || rotary.kind == RotaryKind::Linear
                || rotary.kind == RotaryKind::LongRope));
    if (!has_kind) {
        refuse("the class of mlx-lm does not scale the rotary embedding as the model does", word,
            known.scales_rotary ? "default, linear, longrope and others" : "default");
    }
    if (rotary.partial < 1 && !is_phi) {
        refuse("the class of mlx-lm turns all components of a head", concat(rotary.partial), "1");
    }
}

/// Number n such that all blocks but every n-th have a window; 0 when there is no such number.
int64_t window_pattern(const std::vector<BlockSpec>& blocks)
{
    const auto full = std::find_if_not(blocks.begin(), blocks.end(), slides);
    const int64_t n = full - blocks.begin() + 1;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (slides(blocks[i]) != ((static_cast<int64_t>(i) + 1) % n != 0)) {
            return 0;
        }
    }
    return full == blocks.end() ? 0 : n;
}

/// "rope_parameters" of transformers 5, or of its full layers.
Json rotary_record(const Json& config)
{
    for (const char* field : {"rope_scaling", "rope_parameters"}) {
        if (config.contains(field) && config[field].is_object()) {
            const Json& record = config[field];
            return record.contains("full_attention") ? record["full_attention"] : record;
        }
    }
    return Json::object();
}

/// The classes read rope_theta and rope_scaling, and have defaults of their own for what is absent.
void flatten_rotary(Json& config, const std::vector<BlockSpec>& blocks, bool has_two_bases)
{
    Json record = rotary_record(config);
    config.erase("rope_parameters");
    config.erase("rope_scaling");
    for (const BlockSpec& block : blocks) {
        const bool is_local = has_two_bases && slides(block);
        config[is_local ? "rope_local_base_freq" : "rope_theta"] = block.attention.rotary.theta;
    }
    const auto full = std::find_if_not(blocks.begin(), blocks.end(), slides);
    const RotarySpec& rotary = (full == blocks.end() ? blocks.front() : *full).attention.rotary;
    if (rotary.partial < 1) {
        config["partial_rotary_factor"] = rotary.partial;
    }
    if (rotary.kind == RotaryKind::Default) {
        return;
    }
    record.erase("rope_theta");
    if (rotary.has_factor) {
        record["factor"] = rotary.factor;
    }
    record["type"] = record["rope_type"] = rotary_word(rotary.kind); // one of them is read
    // Some classes look for it here, others beside it.
    record["original_max_position_embeddings"] = rotary.original_length;
    config["original_max_position_embeddings"] = rotary.original_length;
    config["rope_scaling"] = record;
}

std::string_view matrix_word(model::ExpertMatrix matrix)
{
    switch (matrix) {
    case model::ExpertMatrix::Gate:
        return "gate";
    case model::ExpertMatrix::Up:
        return "up";
    case model::ExpertMatrix::Down:
        break;
    }
    return "down";
}

void check_heads(const model::DecoderSpec& spec, const MlxClass& known)
{
    const model::AttentionSpec& attention = spec.blocks.front().attention;
    if (!known.has_biases && (attention.q_bias || attention.kv_bias || attention.o_bias)) {
        refuse("the class of mlx-lm has no biases in the attention", "biases", "none");
    }
    if (!known.has_head_size && attention.head_dim * attention.n_heads != spec.hidden) {
        refuse("the class of mlx-lm divides the hidden state among the heads",
            concat(attention.n_heads, " heads of ", attention.head_dim),
            concat(spec.hidden, " in all"));
    }
}

void check_windows(const std::vector<BlockSpec>& blocks, const MlxClass& known)
{
    if (known.windows == Windows::EveryNth && window_pattern(blocks) == 0) {
        refuse("the class of mlx-lm has windows in all blocks but every n-th",
            "another pattern of windows", "a full block after every n - 1 blocks with a window");
    }
    const auto count = std::count_if(blocks.begin(), blocks.end(), slides);
    if (known.windows == Windows::ByLayer
        && (count == 0 || count == static_cast<int64_t>(blocks.size()))) {
        refuse("the class of mlx-lm looks for blocks with a window and for blocks without one",
            "blocks of one kind", "both");
    }
}

void check_experts(const std::vector<BlockSpec>& blocks, const MlxClass& known)
{
    const bool all = std::all_of(
        blocks.begin(), blocks.end(), [](const BlockSpec& block) { return block.moe.has_value(); });
    if (!known.experts.empty() && !known.mixes_dense && !all) {
        refuse("the class of mlx-lm has experts in every block", "blocks without them", "none");
    }
}

/// The classes have one name each for what configurations call by several.
void describe_experts(Json& config, const model::DecoderSpec& spec, const MlxClass& known)
{
    if (known.experts.empty()) {
        return;
    }
    Json dense = Json::array();
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        const auto& moe = spec.blocks[i].moe;
        if (!moe) {
            dense.push_back(i);
            continue;
        }
        config["num_experts"] = config["num_local_experts"] = moe->n_experts;
        config["num_experts_per_tok"] = moe->router.top_k;
        if (known.mixes_dense) {
            config["head_dim"] = spec.blocks[i].attention.head_dim;
            config["moe_intermediate_size"] = moe->expert_dim;
            config["norm_topk_prob"] = moe->router.renormalize;
        }
    }
    if (known.mixes_dense) {
        config["decoder_sparse_step"] = 1;
        config["mlp_only_layers"] = dense;
    }
}

void describe_windows(Json& config, const std::vector<BlockSpec>& blocks, Windows windows)
{
    if (windows == Windows::EveryNth) {
        config["sliding_window_pattern"] = window_pattern(blocks);
    }
    if (windows != Windows::ByLayer) {
        return;
    }
    Json types = Json::array();
    for (const BlockSpec& block : blocks) {
        types.push_back(slides(block) ? "sliding_attention" : "full_attention");
        if (slides(block)) {
            config["sliding_window"] = block.attention.window;
        }
    }
    config["layer_types"] = types;
}

Json layer_rule(const Scheme& scheme)
{
    Json rule = {{"group_size", scheme.group_size}, {"bits", scheme.bits}};
    if (mlx_mode(scheme) != "affine") {
        rule["mode"] = mlx_mode(scheme);
    }
    return rule;
}

} // namespace

std::string mlx_type_refusal(std::string_view model_type)
{
    if (class_for(model_type) != nullptr) {
        return {};
    }
    std::vector<std::string> known;
    for (const MlxClass& entry : kClasses) {
        known.emplace_back(entry.model_type);
    }
    return concat("mlx is written for ", join(known, ", "), ", not for ", model_type);
}

bool mlx_has_windows(std::string_view model_type)
{
    const MlxClass* known = class_for(model_type);
    return known != nullptr && known->windows != Windows::None;
}

std::vector<MlxStack> mlx_stacks(const model::DecoderSpec& spec)
{
    const MlxClass* known = class_for(spec.model_type);
    std::vector<MlxStack> stacks;
    if (known == nullptr) {
        return stacks; // check_mlx_model refuses the model
    }
    for (ExpertStack& experts : expert_stacks(spec)) {
        const std::string block = with_number(spec.model_names.block, "{i}", experts.block);
        std::string module =
            concat(block, known->experts, ".", matrix_word(experts.matrix), "_proj");
        stacks.push_back({std::move(module), std::move(experts)});
    }
    return stacks;
}

void check_mlx_model(const ExportInput& input)
{
    const source::ModelSource& model = input.model;
    const MlxClass* known = class_for(model.spec.model_type);
    if (known == nullptr) {
        refuse("mlx is not written for this kind of model", model.spec.model_type,
            "see the list of formats");
    }
    if (&arch::decoder_config(model.config) != &model.config) {
        refuse("mlx is not written for decoders inside another model", model.info.architecture,
            model.spec.model_type);
    }
    const bool is_tied = model.spec.is_tied && !unties_head(input);
    if (!is_tied && known->head == Head::Embedding) {
        refuse("the class of mlx-lm always uses the embedding as its head", "a head of its own",
            "a tied head at 16 bits");
    }
    if (is_tied && known->head == Head::Own) {
        refuse("the class of mlx-lm has a head beside the embedding", "a tied head",
            "a head of its own");
    }
    check_heads(model.spec, *known);
    check_experts(model.spec.blocks, *known);
    for (const BlockSpec& block : model.spec.blocks) {
        check_rotary(block.attention.rotary, *known);
    }
    check_windows(model.spec.blocks, *known);
}

std::string_view mlx_mode(const Scheme& scheme)
{
    if (scheme.data_type == DataType::Int || scheme.data_type == DataType::IntFloatZero) {
        return "affine";
    }
    return scheme.bits == 4 ? "mxfp4" : "mxfp8";
}

Json mlx_quantization(const ExportInput& input)
{
    const Scheme common = common_scheme(input.plan);
    Json config = {
        {"group_size", common.group_size}, {"bits", common.bits}, {"mode", mlx_mode(common)}};
    std::set<std::string, std::less<>> experts; // their stacks have the rules
    for (const MlxStack& stack : mlx_stacks(input.model.spec)) {
        const Scheme& scheme = stack_scheme(input.plan, stack.experts);
        config[stack.module] = scheme.is_quantized() ? layer_rule(scheme) : Json(false);
        experts.insert(stack.experts.layers.begin(), stack.experts.layers.end());
    }
    for (const PlannedLayer& layer : input.plan.layers) {
        if (layer.scheme.is_quantized() && !experts.contains(layer.name)) {
            config[layer.name] = layer_rule(layer.scheme);
        }
    }
    for (const std::string& name : kept_layers(input)) {
        if (!experts.contains(name)) {
            config[name] = false;
        }
    }
    return config;
}

Json mlx_config(const ExportInput& input)
{
    check_mlx_model(input);
    const model::DecoderSpec& spec = input.model.spec;
    const Json quantization = mlx_quantization(input);
    const bool unties = unties_head(input);
    Json config = exported_config(input.model, quantization, unties);
    config["quantization"] = quantization;
    config["tie_word_embeddings"] = spec.is_tied && !unties;
    const MlxClass& known = *class_for(spec.model_type);
    flatten_rotary(config, spec.blocks, known.windows == Windows::EveryNth);
    describe_windows(config, spec.blocks, known.windows);
    describe_experts(config, spec, known);
    return config;
}

} // namespace bitsmith::exporting
