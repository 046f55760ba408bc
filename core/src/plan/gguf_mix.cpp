// SPDX-License-Identifier: GPL-3.0-or-later
#include "plan/gguf_mix.h"

#include "values/scheme_presets.h"

#include <bitsmith/error.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

namespace bitsmith::plan {

namespace {

using C = GgufCategory;

/// Columns of a super-block.
constexpr int64_t kSuperBlock = 256;

/// Which layers of its category a rule is for.
enum class When
{
    Always,
    First2,
    First4,
    FirstSixteenth,
    FirstEighth,
    More, ///< the first and last eighth of the layers, and every third between them
    SharedHeads, ///< at least four query heads per key/value head
    EightExperts, ///< Mixtral
    Expert,
};

struct MixRule
{
    std::string_view preset; ///< empty: every one
    std::optional<C> category; ///< empty: every category
    When when;
    std::string_view type;
};

/// The first rule that fits decides; without one a layer has the base type of the preset.
constexpr MixRule kRules[] = {
    {"q2_k_mixed", C::Output, When::Always, "q8_0"},
    {"q2_k_mixed", C::TokenEmbd, When::Always, "q8_0"},
    {"q2_k_mixed", {}, When::Expert, "q2_k"},
    {"q2_k_mixed", {}, When::Always, "q4_k"},

    {"q8_0", C::Output, When::Always, "q8_0"},
    {"", C::Output, When::Always, "q6_k"},
    {"", C::AttnV, When::EightExperts, "q8_0"},
    {"", C::AttnK, When::EightExperts, "q8_0"},
    {"q3_k_s", C::AttnOutput, When::EightExperts, "q5_k"},
    {"q3_k_m", C::AttnOutput, When::EightExperts, "q5_k"},
    {"q4_k_s", C::AttnOutput, When::EightExperts, "q5_k"},
    {"q4_k_m", C::AttnOutput, When::EightExperts, "q5_k"},

    {"q2_k_s", C::AttnV, When::SharedHeads, "q4_k"},
    {"q2_k_s", C::FfnDown, When::FirstEighth, "q4_k"},
    {"q3_k_m", C::AttnV, When::First2, "q5_k"},
    {"q3_k_m", C::AttnV, When::Always, "q4_k"},
    {"q3_k_m", C::AttnOutput, When::Always, "q4_k"},
    {"q3_k_m", C::FfnDown, When::FirstSixteenth, "q5_k"},
    {"q3_k_m", C::FfnDown, When::Always, "q4_k"},
    {"q3_k_l", C::AttnV, When::Always, "q5_k"},
    {"q3_k_l", C::AttnOutput, When::Always, "q5_k"},
    {"q3_k_l", C::FfnDown, When::Always, "q5_k"},
    {"q4_k_s", C::AttnV, When::First4, "q5_k"},
    {"q4_k_s", C::FfnDown, When::FirstEighth, "q5_k"},
    {"q4_k_m", C::AttnV, When::More, "q6_k"},
    {"q4_k_m", C::FfnDown, When::More, "q6_k"},
    {"q5_k_m", C::AttnV, When::More, "q6_k"},
    {"q5_k_m", C::FfnDown, When::More, "q6_k"},
};

struct LayerWord
{
    std::string_view word; ///< last part of the checkpoint name
    C category;
};

/// Of all families (core/src/arch).
constexpr LayerWord kLayerWords[] = {
    {"q_proj", C::AttnQ},
    {"k_proj", C::AttnK},
    {"v_proj", C::AttnV},
    {"qkv_proj", C::AttnV},
    {"o_proj", C::AttnOutput},
    {"gate_proj", C::FfnGateUp},
    {"up_proj", C::FfnGateUp},
    {"gate_up_proj", C::FfnGateUp},
    {"w1", C::FfnGateUp},
    {"w3", C::FfnGateUp},
    {"down_proj", C::FfnDown},
    {"w2", C::FfnDown},
};

struct Fallback
{
    std::string_view type;
    std::string_view instead;
};
constexpr Fallback kFallbacks[] = {
    {"q2_k", "q4_0"},
    {"q3_k", "q4_0"},
    {"q4_k", "q5_0"},
    {"q5_k", "q5_1"},
    {"q6_k", "q8_0"},
};

bool is_among_more(int64_t i, int64_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

bool holds(When when, const GgufLayer& layer)
{
    switch (when) {
    case When::Always:
        return true;
    case When::First2:
        return layer.index < 2;
    case When::First4:
        return layer.index < 4;
    case When::FirstSixteenth:
        return layer.index < layer.n_layers / 16;
    case When::FirstEighth:
        return layer.index < layer.n_layers / 8;
    case When::More:
        return is_among_more(layer.index, layer.n_layers);
    case When::SharedHeads:
        return layer.gqa >= 4;
    case When::EightExperts:
        return layer.n_experts == 8;
    case When::Expert:
        return layer.is_expert;
    }
    return false;
}

bool fits(const MixRule& rule, std::string_view preset, const GgufLayer& layer)
{
    return (rule.preset.empty() || rule.preset == preset)
        && rule.category.value_or(layer.category) == layer.category && holds(rule.when, layer);
}

C category_of(const LayerInfo& layer)
{
    if (layer.block_index < 0) {
        return C::Output;
    }
    const std::string_view word =
        std::string_view(layer.name).substr(layer.name.rfind('.') + 1); // all of it without a dot
    const auto known = std::find_if(std::begin(kLayerWords), std::end(kLayerWords),
        [word](const LayerWord& entry) { return entry.word == word; });
    return known == std::end(kLayerWords) ? C::Other : known->category;
}

bool is_70b(const ModelInfo& model)
{
    const bool llama = model.model_type == "llama" || model.model_type == "mistral";
    return llama && model.blocks == 80 && model.heads != model.kv_heads;
}

/// Numbers the blocks in which a category occurs.
class Counter
{
public:
    int64_t index_in(int64_t block_index)
    {
        if (index_ < 0 || block_index != block_) {
            ++index_;
            block_ = block_index;
        }
        return index_;
    }

private:
    int64_t index_ = -1;
    int64_t block_ = -1;
};

} // namespace

std::vector<GgufLayer> gguf_layers(const ModelInfo& model)
{
    std::array<Counter, EnumNames<C>::names.size()> counters;
    std::vector<GgufLayer> layers;
    layers.reserve(model.layers.size());
    for (const LayerInfo& info : model.layers) {
        GgufLayer layer;
        layer.category = category_of(info);
        layer.is_expert = info.name.find(".experts.") != std::string::npos;
        layer.index = counters[static_cast<std::size_t>(layer.category)].index_in(info.block_index);
        if (layer.category == C::FfnDown && model.experts > 1) {
            layer.index = info.block_index;
        }
        layer.n_layers = model.blocks;
        layer.gqa = model.kv_heads > 0 ? model.heads / model.kv_heads : 0;
        layer.n_experts = model.experts;
        layer.is_llama_70b = is_70b(model);
        layers.push_back(layer);
    }
    return layers;
}

std::string_view gguf_layer_type(std::string_view preset, const GgufLayer& layer)
{
    const GgufPreset* found = find_gguf_preset(preset);
    BITSMITH_ASSERT(found != nullptr && found->scheme.is_quantized());
    const auto rule = std::find_if(std::begin(kRules), std::end(kRules),
        [&](const MixRule& entry) { return fits(entry, found->name, layer); });
    const std::string_view base = found->base.empty() ? found->name : found->base;
    const std::string_view type = rule == std::end(kRules) ? base : rule->type;
    // Its key/value heads are few, so that more bits for them cost next to nothing.
    const bool raised = layer.is_llama_70b && layer.category == C::AttnV
        && found->name != "q2_k_mixed" && (type == "q3_k" || type == "q4_k");
    return raised ? "q5_k" : type;
}

std::string_view gguf_table_type(std::string_view preset, GgufCategory table, int64_t columns)
{
    GgufLayer layer;
    layer.category = table;
    const std::string_view type = gguf_layer_type(preset, layer);
    const std::string_view instead = gguf_fallback_type(type);
    return instead.empty() || fits_k_types(columns) ? type : instead;
}

bool fits_k_types(int64_t columns)
{
    return columns % kSuperBlock == 0;
}

std::string_view gguf_fallback_type(std::string_view type)
{
    const auto found = std::find_if(std::begin(kFallbacks), std::end(kFallbacks),
        [type](const Fallback& entry) { return entry.type == type; });
    return found == std::end(kFallbacks) ? std::string_view() : found->instead;
}

} // namespace bitsmith::plan
