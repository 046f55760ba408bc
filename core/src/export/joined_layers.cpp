// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/joined_layers.h"

#include <algorithm>
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

} // namespace

std::vector<std::string> with_joined_layers(const ModelInfo& model, std::vector<std::string> layers)
{
    const std::set<std::string> given(layers.begin(), layers.end());
    for (const JoinedLayer& joined : joined_layers(model)) {
        if (std::all_of(joined.parts.begin(), joined.parts.end(),
                [&](const std::string& part) { return given.contains(part); })) {
            layers.push_back(joined.name);
        }
    }
    return layers;
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
