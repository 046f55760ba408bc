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

/// What the class of mlx-lm for a model_type can do.
struct MlxClass
{
    std::string_view model_type;
    bool has_head; ///< beside the embedding
    bool scales_rotary;
    bool slides; ///< has windows, every n-th block excepted
};
constexpr std::array kClasses = {
    MlxClass{"llama", true, true, false},
    MlxClass{"mistral", true, true, false},
    MlxClass{"qwen2", true, true, false},
    MlxClass{"qwen3", true, true, false},
    MlxClass{"gemma", false, false, false},
    MlxClass{"gemma2", false, false, false},
    MlxClass{"gemma3_text", true, true, true},
    MlxClass{"phi3", true, true, false},
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
    record["type"] = record["rope_type"] = rotary_word(rotary.kind); // one of them is read
    // Some classes look for it here, others beside it.
    record["original_max_position_embeddings"] = rotary.original_length;
    config["original_max_position_embeddings"] = rotary.original_length;
    config["rope_scaling"] = record;
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
    return concat("mlx is written for ", join(known, ", "), ", not for ", model_type,
        ": the classes of mlx-lm for mixtures of experts stack what the source stores one by one");
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
    if (unties_head(input) && !known->has_head) {
        refuse("the class of mlx-lm always uses the embedding as its head",
            "a quantized head of its own", "a head at 16 bits");
    }
    for (const BlockSpec& block : model.spec.blocks) {
        check_rotary(block.attention.rotary, *known);
    }
    if (known->slides && window_pattern(model.spec.blocks) == 0) {
        refuse("the class of mlx-lm has windows in all blocks but every n-th",
            "another pattern of windows", "a full block after every n - 1 blocks with a window");
    }
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
    for (const PlannedLayer& layer : input.plan.layers) {
        if (layer.scheme.is_quantized()) {
            config[layer.name] = layer_rule(layer.scheme);
        }
    }
    for (const std::string& name : kept_layers(input)) {
        config[name] = false;
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
    const bool has_windows = class_for(spec.model_type)->slides;
    flatten_rotary(config, spec.blocks, has_windows);
    if (has_windows) {
        config["sliding_window_pattern"] = window_pattern(spec.blocks);
    }
    return config;
}

} // namespace bitsmith::exporting
