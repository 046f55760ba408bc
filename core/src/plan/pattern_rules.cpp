// SPDX-License-Identifier: GPL-3.0-or-later
// Rules about patterns of layers: overrides and what is kept.
#include "base/text.h"
#include "plan/rules.h"

#include <algorithm>

namespace bitsmith::plan {

namespace {

using Issues = std::vector<Issue>;

/// An override, or a pattern to keep, and what it does to the layers of the model.
struct Pattern
{
    std::string field;
    std::string text;
    Scheme scheme;
    bool is_keep;
    std::string named_only = {}; ///< a layer that it matches, but would have to name in full
    int64_t matched = 0;
    int64_t taken = 0; ///< layers about which no later pattern has a say
    bool has_effect = false; ///< some layer gets its scheme, from it or from a later pattern
    std::size_t overruled_by = 0; ///< a later pattern, if there is one

    bool takes(const LayerInfo& layer) const
    {
        return is_keep ? matches_pattern(text, layer.name) : rule_applies(text, layer);
    }
    std::string shown() const
    {
        return is_keep ? concat("keep '", text, "'") : concat(text, '=', scheme_name(scheme));
    }
};

void apply(std::vector<Pattern>& patterns, const LayerInfo& layer)
{
    std::size_t last = patterns.size();
    for (std::size_t i = patterns.size(); i-- > 0;) {
        Pattern& pattern = patterns[i];
        if (!pattern.takes(layer)) {
            if (matches_pattern(pattern.text, layer.name)) {
                pattern.named_only = layer.name;
            }
            continue;
        }
        if (last == patterns.size()) {
            last = i;
            ++pattern.taken;
        }
        ++pattern.matched;
        pattern.overruled_by = last;
        pattern.has_effect = pattern.has_effect || pattern.scheme == patterns[last].scheme;
    }
}

/// In the order in which they apply; none while model or schemes are not known.
std::vector<Pattern> patterns_of(const Subject& s)
{
    std::vector<Pattern> patterns;
    if (s.model == nullptr || !s.plan) {
        return patterns;
    }
    const SchemeSection& section = s.spec.scheme;
    for (std::size_t i = 0; i < section.overrides.size(); ++i) {
        const Override& rule = section.overrides[i];
        patterns.push_back({concat("scheme.overrides[", i, "].pattern"), rule.pattern,
            parse_scheme(rule.scheme), /*is_keep=*/false});
    }
    for (std::size_t i = 0; i < section.keep.size(); ++i) {
        patterns.push_back(
            {concat("scheme.keep[", i, ']'), section.keep[i], keep_scheme(), /*is_keep=*/true});
    }
    for (const LayerInfo& layer : s.model->layers) {
        apply(patterns, layer);
    }
    return patterns;
}

/// A pattern of which nothing is left contradicts those behind it.
void without_effect(const Subject& s, Issues& found)
{
    const std::vector<Pattern> patterns = patterns_of(s);
    for (const Pattern& pattern : patterns) {
        if (pattern.matched > 0 && !pattern.has_effect) {
            found.push_back(finding(pattern.field,
                concat("The rule ", pattern.shown(), " has no effect: all layers that it matches (",
                    pattern.matched, ") are taken by later rules, such as ",
                    patterns[pattern.overruled_by].shown(),
                    ". Put the more general rule first, or remove one.")));
        }
    }
}

void without_match(const Subject& s, Issues& found)
{
    for (const Pattern& pattern : patterns_of(s)) {
        if (pattern.matched == 0) {
            found.push_back(finding(pattern.field,
                pattern.named_only.empty()
                    ? concat("Pattern '", pattern.text, "' matches no layer.")
                    : concat("Pattern '", pattern.text,
                        "' matches only layers that take a scheme when they are named in full: ",
                        pattern.named_only, ".")));
        }
    }
}

void takes_everything(const Subject& s, Issues& found)
{
    if (s.model == nullptr) {
        return;
    }
    const auto layers = std::count_if(s.model->layers.begin(), s.model->layers.end(),
        [](const LayerInfo& layer) { return layer.quantizable; });
    for (const Pattern& pattern : patterns_of(s)) {
        if (!pattern.is_keep && pattern.taken > 0 && pattern.taken >= layers) {
            found.push_back(finding(pattern.field,
                concat("Pattern '", pattern.text, "' takes every layer; none gets ",
                    s.spec.scheme.scheme, ".")));
        }
    }
}

constexpr Rule kRules[] = {
    {"V25", Severity::Error, without_effect},
    {"V25", Severity::Info, without_match},
    {"V25", Severity::Info, takes_everything},
};

} // namespace

bool rule_applies(const std::string& pattern, const LayerInfo& layer)
{
    return layer.quantizable ? matches_pattern(pattern, layer.name) : pattern == layer.name;
}

std::span<const Rule> pattern_rules()
{
    return kRules;
}

} // namespace bitsmith::plan
