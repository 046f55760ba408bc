// SPDX-License-Identifier: GPL-3.0-or-later
// Which layer gets which scheme. Source: algorithm.md 1.3.
#include "base/text.h"
#include "plan/gguf_mix.h"
#include "plan/rules.h"
#include "values/scheme_presets.h"

#include <bitsmith/check.h>

namespace bitsmith {

namespace {

/// Packed integer layouts and GGUF rows come in units of this many weights.
constexpr int64_t kShapeUnit = 32;

struct Choice
{
    Scheme scheme;
    std::string reason;
    bool as_asked = true;
};

struct Rule
{
    std::string pattern;
    Scheme scheme;
};

std::vector<Rule> parse_overrides(const SchemeSection& section)
{
    std::vector<Rule> rules;
    for (std::size_t i = 0; i < section.overrides.size(); ++i) {
        const Override& rule = section.overrides[i];
        try {
            rules.push_back({rule.pattern, parse_scheme(rule.scheme)});
        } catch (const Error& error) {
            Error::Context context = {{"field", concat("scheme.overrides[", i, "]")}};
            context.insert(context.end(), error.context().begin(), error.context().end());
            fail(error.code(), error.message(), std::move(context), error.hint());
        }
    }
    return rules;
}

Choice default_choice(const LayerInfo& layer, const Scheme& base, const JobSpec& spec)
{
    if (layer.quantizable) {
        return {base, "default"};
    }
    if (layer.block_index < 0 && spec.scheme.quant_lm_head) {
        return {base, "quant_lm_head"};
    }
    return {keep_scheme(), layer.block_index < 0 ? "outside the blocks" : "kept by kind"};
}

/// Empty: the shape can be quantized.
std::string shape_refusal(const Scheme& scheme, const LayerInfo& layer)
{
    if (layer.columns % kShapeUnit != 0) {
        return concat("shape: ", layer.columns, " columns, not a multiple of ", kShapeUnit);
    }
    if (scheme.gguf_type.empty() && layer.rows % kShapeUnit != 0) {
        return concat("shape: ", layer.rows, " rows, not a multiple of ", kShapeUnit);
    }
    return {};
}

Scheme gguf_scheme(std::string_view type)
{
    const GgufPreset* preset = find_gguf_preset(type);
    BITSMITH_ASSERT(preset != nullptr);
    return preset->scheme;
}

/// The concrete type, or bits, where a mix was asked for.
Choice without_mix(Choice choice, const plan::GgufLayer& layer)
{
    const std::string asked = choice.reason == "default" ? "" : choice.reason + ", ";
    if (const BitsMix* mix = find_bits_mix(choice.scheme)) {
        choice.scheme.mix.clear();
        choice.scheme.bits = layer.is_expert ? choice.scheme.bits : mix->other_bits;
        choice.reason =
            concat(asked, mix->name, layer.is_expert ? ": routed expert" : ": no routed expert");
        return choice;
    }
    if (!is_gguf_mix(choice.scheme)) {
        return choice;
    }
    const std::string_view type = plan::gguf_layer_type(choice.scheme.gguf_type, layer);
    return {gguf_scheme(type),
        concat(asked, scheme_name(choice.scheme), ": ", enum_name(layer.category))};
}

/// K types have super-blocks of 256 columns; llama.cpp stores other widths with more bits.
Choice with_fitting_type(Choice choice, const LayerInfo& layer)
{
    const std::string type = choice.scheme.gguf_type;
    const std::string_view instead = plan::gguf_fallback_type(type);
    if (instead.empty() || plan::fits_k_types(layer.columns)) {
        return choice;
    }
    return {gguf_scheme(instead),
        concat("shape: ", layer.columns, " columns, not a multiple of 256, so ", instead,
            " instead of ", type),
        false};
}

Choice choose(const LayerInfo& layer, Choice choice, const std::vector<Rule>& rules,
    const JobSpec& spec, const ModelInfo& model)
{
    for (const Rule& rule : rules) {
        if (plan::rule_applies(rule.pattern, layer)) {
            choice = {rule.scheme, "override '" + rule.pattern + "'"};
        }
    }
    for (const std::string& pattern : spec.scheme.keep) {
        if (matches_pattern(pattern, layer.name)) {
            choice = {keep_scheme(), "keep '" + pattern + "'"};
        }
    }
    if (!choice.scheme.is_quantized()) {
        return choice;
    }
    if (layer.block_index < 0 && model.tied_head) {
        return {keep_scheme(), "tied to the embedding", false};
    }
    std::string refusal = shape_refusal(choice.scheme, layer);
    return refusal.empty() ? choice : Choice{keep_scheme(), std::move(refusal), false};
}

} // namespace

Scheme resolve_scheme(const SchemeSection& section)
{
    Scheme scheme = parse_scheme(section.scheme);
    if (!scheme.gguf_type.empty()) {
        return scheme; // its fields are part of the file format; check() says so (V05)
    }
    const bool changes = section.bits || section.group_size || section.sym;
    if (changes && !scheme.is_quantized()) {
        fail(ErrorCode::InvalidSpec, "a scheme that does not quantize has no bits, groups or signs",
            {{"field", "scheme.scheme"}, {"found", section.scheme}}, "Name a scheme such as W4A16");
    }
    if (!scheme.is_quantized()) {
        return scheme;
    }
    scheme.bits = section.bits.value_or(scheme.bits);
    scheme.group_size = section.group_size.value_or(scheme.group_size);
    scheme.sym = section.sym.value_or(scheme.sym);
    if (scheme.bits < 1 || scheme.bits > 8 || scheme.group_size < kGroupPerRow) {
        fail(ErrorCode::InvalidSpec, "scheme out of range",
            {{"field", scheme.group_size < kGroupPerRow ? "scheme.group_size" : "scheme.bits"},
                {"found", concat("bits ", scheme.bits, ", group ", scheme.group_size)},
                {"allowed", "bits 2 to 8, group -1 or more"}});
    }
    return scheme;
}

Plan build_plan(const JobSpec& spec, const ModelInfo& model)
{
    const Scheme base = resolve_scheme(spec.scheme);
    const std::vector<Rule> rules = parse_overrides(spec.scheme);
    Plan plan;
    plan.layers.reserve(model.layers.size());
    const std::vector<plan::GgufLayer> gguf_layers = plan::gguf_layers(model);
    auto gguf_layer = gguf_layers.begin();
    for (const LayerInfo& layer : model.layers) {
        Choice choice = choose(layer, default_choice(layer, base, spec), rules, spec, model);
        choice = with_fitting_type(without_mix(std::move(choice), *gguf_layer++), layer);
        plan.layers.push_back({layer.name, layer.block_index, layer.rows, layer.columns,
            std::move(choice.scheme), std::move(choice.reason), choice.as_asked});
    }
    return plan;
}

} // namespace bitsmith
