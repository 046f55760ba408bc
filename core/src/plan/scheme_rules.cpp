// SPDX-License-Identifier: GPL-3.0-or-later
// Rules about schemes, layers and formats.
#include "base/text.h"
#include "plan/rules.h"
#include "quant/codec.h"

#include <bitsmith/catalog.h>

#include <algorithm>
#include <map>

namespace bitsmith::plan {

namespace {

using Issues = std::vector<Issue>;

bool is_gguf(const Subject& s)
{
    return s.scheme && !s.scheme->gguf_type.empty();
}

bool wants_format(const Subject& s, std::string_view format)
{
    const auto& formats = s.spec.exports.formats;
    return std::find(formats.begin(), formats.end(), format) != formats.end();
}

/// Schemes in use, each once, with the name of one layer that has it.
std::vector<std::pair<Scheme, std::string>> schemes_in_use(const Subject& s)
{
    std::vector<std::pair<Scheme, std::string>> schemes;
    if (!s.plan) {
        if (s.scheme) {
            schemes.emplace_back(*s.scheme, "");
        }
        return schemes;
    }
    for (const PlannedLayer& layer : s.plan->layers) {
        const bool known = std::any_of(schemes.begin(), schemes.end(),
            [&](const auto& entry) { return entry.first == layer.scheme; });
        if (!known && layer.scheme.is_quantized()) {
            schemes.emplace_back(layer.scheme, layer.name);
        }
    }
    return schemes;
}

void unreadable_scheme(const Subject& s, Issues& found)
{
    try {
        resolve_scheme(s.spec.scheme);
    } catch (const Error& error) {
        found.push_back(finding("scheme.scheme", error.what()));
    }
    for (std::size_t i = 0; i < s.spec.scheme.overrides.size(); ++i) {
        try {
            parse_scheme(s.spec.scheme.overrides[i].scheme);
        } catch (const Error& error) {
            found.push_back(finding(concat("scheme.overrides[", i, "].scheme"), error.what()));
        }
    }
}

/// Numbers that no codec has, from changed fields or field lists.
void scheme_without_codec(const Subject& s, Issues& found)
{
    for (const auto& [scheme, layer] : schemes_in_use(s)) {
        const std::string reason = quant::scheme_refusal(scheme);
        if (!reason.empty()) {
            found.push_back(finding("scheme.scheme",
                concat(scheme_name(scheme), layer.empty() ? "" : " (" + layer + ")", ": ", reason,
                    ".")));
        }
    }
}

void format_holds_scheme(const Subject& s, Issues& found)
{
    const auto& known = format_catalog();
    for (const std::string& format : s.spec.exports.formats) {
        const bool exists = std::any_of(
            known.begin(), known.end(), [&](const FormatInfo& f) { return f.id == format; });
        if (!exists) {
            std::vector<std::string> ids;
            std::transform(known.begin(), known.end(), std::back_inserter(ids),
                [](const FormatInfo& f) { return f.id; });
            found.push_back(finding("exports.formats",
                "There is no format '" + format + "'; known: " + join(ids, ", ") + ".",
                nearest(format, ids)));
            continue;
        }
        for (const auto& [scheme, layer] : schemes_in_use(s)) {
            const std::string reason = format_refusal(format, scheme);
            if (!reason.empty()) {
                found.push_back(finding("exports.formats",
                    concat("Format ", format, " cannot hold ", scheme_name(scheme),
                        layer.empty() ? "" : " (" + layer + ")", ": ", reason)));
            }
        }
        const std::string reason = s.plan ? format_plan_refusal(format, *s.plan) : "";
        if (!reason.empty()) {
            found.push_back(finding("exports.formats", concat(reason, "."), "llm_compressor"));
        }
        const std::string other = s.model != nullptr ? format_model_refusal(format, *s.model) : "";
        if (!other.empty()) {
            found.push_back(finding("exports.formats", concat(other, ".")));
        }
    }
}

/// The largest usual group size that divides the width of every quantized layer; empty: none does.
std::string fitting_group(const Plan& plan)
{
    for (const int64_t group : {64, 32}) {
        const bool fits =
            std::all_of(plan.layers.begin(), plan.layers.end(), [&](const PlannedLayer& layer) {
                return !layer.scheme.is_quantized() || layer.columns % group == 0;
            });
        if (fits) {
            return std::to_string(group);
        }
    }
    return {};
}

/// Layers that a format has no place for, found here rather than after hours of tuning.
void format_holds_shapes(const Subject& s, Issues& found)
{
    for (const FormatInfo& format : format_catalog()) {
        if (!s.plan || !wants_format(s, format.id)) {
            continue;
        }
        std::vector<std::string> names;
        std::string reason;
        for (const PlannedLayer& layer : s.plan->layers) {
            std::string refusal = format_shape_refusal(format.id, layer);
            if (!refusal.empty()) {
                names.push_back(concat(layer.name, " [", layer.rows, ", ", layer.columns, ']'));
                reason = std::move(refusal);
            }
        }
        if (!names.empty()) {
            found.push_back(finding("scheme.group_size",
                concat("Format ", format.id, " cannot hold ", names.size(), " layers: ",
                    some_of(names), "; ", reason, ". Keep these layers, or use smaller groups."),
                fitting_group(*s.plan)));
        }
    }
}

/// Layers that are quantized, but not with the type that was asked for.
void report_other_types(const Plan& plan, Issues& found)
{
    std::map<std::string, std::vector<std::string>> names;
    for (const PlannedLayer& layer : plan.layers) {
        if (!layer.as_asked && layer.scheme.is_quantized()) {
            names[scheme_name(layer.scheme)].push_back(layer.name);
        }
    }
    for (const auto& [type, layers] : names) {
        found.push_back(finding("scheme.scheme",
            concat(layers.size(), " layers get ", type,
                " because their width is not a multiple of 256, which the type asked for needs: ",
                some_of(layers), ".")));
    }
}

void kept_by_shape(const Subject& s, Issues& found)
{
    std::vector<std::string> names, short_groups;
    if (!s.plan) {
        return;
    }
    for (const PlannedLayer& layer : s.plan->layers) {
        const int64_t group = layer.scheme.group_size;
        if (!layer.as_asked && !layer.scheme.is_quantized() && layer.block_index >= 0) {
            names.push_back(layer.name);
        } else if (layer.scheme.is_quantized() && group > 0 && layer.columns % group != 0) {
            short_groups.push_back(layer.name);
        }
    }
    if (!names.empty()) {
        found.push_back(finding("scheme.scheme",
            concat(names.size(), " layers stay at 16 bits because their shape does not fit: ",
                some_of(names), ".")));
    }
    report_other_types(*s.plan, found);
    if (!short_groups.empty()) {
        found.push_back(finding("scheme.group_size",
            concat(short_groups.size(),
                " layers have a width that is not a multiple of their group size, so their last "
                "group is short and some runtimes refuse the file: ",
                some_of(short_groups), "."),
            fitting_group(*s.plan)));
    }
}

void bad_group_size(const Subject& s, Issues& found)
{
    const auto group = s.spec.scheme.group_size;
    if (group && (*group < kGroupPerRow || (*group > 0 && *group % 8 != 0))) {
        const int64_t fix = std::max<int64_t>(32, (*group + 31) / 32 * 32);
        found.push_back(finding("scheme.group_size",
            concat("Group size ", *group,
                " cannot be stored; allowed: -1 (one group per row), 0 (one per tensor), or a "
                "multiple of 8."),
            std::to_string(fix)));
    }
}

void gguf_ignores_fields(const Subject& s, Issues& found)
{
    const SchemeSection& section = s.spec.scheme;
    if (is_gguf(s) && (section.bits || section.group_size || section.sym)) {
        found.push_back(finding("scheme.scheme",
            concat(scheme_name(*s.scheme),
                " fixes bits, group size and symmetry; the values given for them are ignored.")));
    }
}

void gguf_with_steps(const Subject& s, Issues& found)
{
    if (is_gguf(s) && s.scheme->is_quantized() && s.spec.recipe.iters > 0 && s.scheme->bits != 3) {
        found.push_back(finding("recipe.iters",
            "For GGUF types the zero-step recipes are usual; tuning takes longer and gains "
            "little above 3 bits."));
    }
}

void two_bits_without_best(const Subject& s, Issues& found)
{
    if (s.scheme && s.scheme->bits <= 2 && s.spec.recipe.iters < 1000) {
        found.push_back(finding("recipe.name",
            concat("2 bits lose much with ", s.spec.recipe.iters,
                " steps; the recipe best (1000 steps) is made for them."),
            "best"));
    }
}

void light_for_small_or_two_bits(const Subject& s, Issues& found)
{
    constexpr int64_t kSmall = 3'000'000'000;
    if (s.spec.recipe.name != "light") {
        return;
    }
    const bool small =
        s.model != nullptr && s.model->parameters > 0 && s.model->parameters < kSmall;
    if (small || (s.scheme && s.scheme->bits <= 2)) {
        found.push_back(finding("recipe.name",
            concat("The recipe light is made for 4 bits and models above 3 B; ",
                small ? "this model is smaller" : "this is 2 bits", ", so it loses accuracy."),
            "default"));
    }
}

void weak_gptq_kernels(const Subject& s, Issues& found)
{
    if (!wants_format(s, "auto_round")) {
        return;
    }
    for (const auto& [scheme, layer] : schemes_in_use(s)) {
        if (scheme.gguf_type.empty() && (scheme.bits == 3 || (scheme.bits == 2 && !scheme.sym))) {
            found.push_back(finding("exports.formats",
                concat("GPTQ-like kernels are known to lose accuracy, or to be missing, for ",
                    scheme_name(scheme), "; try the file in your runtime.")));
        }
    }
}

bool is_tied(const Subject& s)
{
    return s.model != nullptr && s.model->tied_head;
}

void head_quantized(const Subject& s, Issues& found)
{
    if (s.spec.scheme.quant_lm_head && !is_tied(s)) {
        found.push_back(finding("scheme.quant_lm_head",
            "Few runtimes load a quantized output head; auto_round's own does.", "false"));
    }
}

void tied_head_quantized(const Subject& s, Issues& found)
{
    if (s.spec.scheme.quant_lm_head && is_tied(s)) {
        found.push_back(finding("scheme.quant_lm_head",
            "The head shares its weights with the embedding and cannot be quantized alone.",
            "false"));
    }
}

/// llama.cpp fuses only the experts of a block; GGUF mixes use that for attention.
bool may_differ(const std::string& unit, const Scheme& a, const Scheme& b)
{
    return !a.gguf_type.empty() && !b.gguf_type.empty()
        && unit.find(".experts.") == std::string::npos;
}

void unit_with_several_schemes(const Subject& s, Issues& found)
{
    if (!s.plan || s.model == nullptr) {
        return;
    }
    std::map<std::string, const Scheme*> first;
    std::vector<std::string> mixed;
    for (std::size_t i = 0; i < s.model->layers.size(); ++i) {
        const std::string& unit = s.model->layers[i].unit;
        if (unit.empty()) {
            continue;
        }
        const Scheme& scheme = s.plan->layers[i].scheme;
        const auto [entry, added] = first.emplace(unit, &scheme);
        if (!added && !(*entry->second == scheme) && !may_differ(unit, *entry->second, scheme)
            && std::find(mixed.begin(), mixed.end(), unit) == mixed.end()) {
            mixed.push_back(unit);
        }
    }
    if (!mixed.empty()) {
        found.push_back(finding("scheme.overrides",
            concat(mixed.size(), " groups of layers that runtimes fuse have different schemes: ",
                some_of(mixed), ".")));
    }
}

void both_families(const Subject& s, Issues& found)
{
    if (wants_format(s, "gguf") && s.spec.exports.formats.size() > 1) {
        found.push_back(finding("exports.formats",
            "GGUF and the other formats store different grids; one run tunes for one of them. "
            "Make two jobs."));
    }
}

void no_format(const Subject& s, Issues& found)
{
    if (s.spec.exports.formats.empty()) {
        found.push_back(finding("exports.formats",
            "No format is chosen: the run is kept and can be exported later.", "auto_round"));
    }
}

void nothing_quantized(const Subject& s, Issues& found)
{
    if (s.plan && schemes_in_use(s).empty()) {
        found.push_back(finding("scheme.scheme",
            "No layer is quantized with these settings; the export has the size of the original."));
    }
}

constexpr Rule kRules[] = {
    {"V29", Severity::Error, unreadable_scheme},
    {"V04", Severity::Error, bad_group_size},
    {"V39", Severity::Error, scheme_without_codec},
    {"V02", Severity::Error, format_holds_scheme},
    {"V02", Severity::Error, format_holds_shapes},
    {"V03", Severity::Warning, kept_by_shape},
    {"V05", Severity::Info, gguf_ignores_fields},
    {"V06", Severity::Info, gguf_with_steps},
    {"V07", Severity::Warning, two_bits_without_best},
    {"V08", Severity::Warning, light_for_small_or_two_bits},
    {"V13", Severity::Warning, weak_gptq_kernels},
    {"V14", Severity::Warning, head_quantized},
    {"V14", Severity::Error, tied_head_quantized},
    {"V26", Severity::Warning, unit_with_several_schemes},
    {"V27", Severity::Info, both_families},
    {"V30", Severity::Warning, no_format},
    {"V31", Severity::Warning, nothing_quantized},
};

} // namespace

std::span<const Rule> scheme_rules()
{
    return kRules;
}

} // namespace bitsmith::plan
