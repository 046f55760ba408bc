// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/joined_layers.h"

#include "base/text.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace bitsmith::exporting {

namespace {

struct JoinedLayer
{
    std::string name;
    std::vector<std::string> parts;
};

/// In the order of the model, in which parts follow each other.
std::vector<JoinedLayer> joined_layers(const ModelInfo& model)
{
    std::vector<JoinedLayer> joined;
    for (const LayerInfo& layer : model.layers) {
        const bool is_expert = layer.unit.find(".experts.") != std::string::npos; // stacked instead
        if (layer.unit.empty() || layer.unit == layer.name || is_expert) {
            continue;
        }
        const std::string name = layer.unit + "_proj";
        if (joined.empty() || joined.back().name != name) {
            joined.push_back({name, {}});
        }
        joined.back().parts.push_back(layer.name);
    }
    return joined;
}

/// Those whose parts are all among `layers`.
std::vector<JoinedLayer> wholly_among(
    const std::vector<std::string>& layers, const ModelInfo& model)
{
    const std::set<std::string> given(layers.begin(), layers.end());
    std::vector<JoinedLayer> joined = joined_layers(model);
    std::erase_if(joined, [&](const JoinedLayer& layer) {
        return !std::all_of(layer.parts.begin(), layer.parts.end(),
            [&](const std::string& part) { return given.contains(part); });
    });
    return joined;
}

} // namespace

std::vector<std::string> with_joined_layers(const ModelInfo& model, std::vector<std::string> layers)
{
    for (const JoinedLayer& joined : wholly_among(layers, model)) {
        layers.push_back(joined.name);
    }
    return layers;
}

std::vector<std::string> with_joined_targets(
    const ModelInfo& model, std::vector<std::string> layers)
{
    for (const JoinedLayer& joined : wholly_among(layers, model)) {
        const std::string& first = joined.parts.front();
        std::ranges::replace(
            layers, first, concat("re:^(", escaped(first), '|', escaped(joined.name), ")$"));
    }
    return layers;
}

std::string escaped(const std::string& words)
{
    std::string expression;
    for (const char c : words) {
        const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
        expression += is_plain ? std::string(1, c) : std::string{'\\', c};
    }
    return expression;
}

Json with_joined_rules(const ModelInfo& model, Json rules)
{
    for (const JoinedLayer& joined : joined_layers(model)) {
        const Json rule = rules.value(joined.parts.front(), Json());
        if (!rule.is_null()
            && std::all_of(joined.parts.begin(), joined.parts.end(),
                [&](const std::string& part) { return rules.value(part, Json()) == rule; })) {
            rules[joined.name] = rule;
        }
    }
    return rules;
}

} // namespace bitsmith::exporting
