// SPDX-License-Identifier: GPL-3.0-or-later
#include <bitsmith/plan.h>
#include <bitsmith/recipe.h>

#include <algorithm>

namespace bitsmith {

const PlannedLayer* Plan::find(std::string_view name) const
{
    const auto found = std::find_if(layers.begin(), layers.end(),
        [name](const PlannedLayer& layer) { return layer.name == name; });
    return found == layers.end() ? nullptr : &*found;
}

bool quantizes_head(const Plan& plan)
{
    return std::any_of(plan.layers.begin(), plan.layers.end(), [](const PlannedLayer& layer) {
        return layer.block_index < 0 && layer.scheme.is_quantized();
    });
}

int64_t windows_computed(const Recipe& recipe, const Plan& plan, int64_t count, int64_t tokens)
{
    const bool wants_maxima = recipe.static_kv_dtype != CacheType::None
        || std::any_of(plan.layers.begin(), plan.layers.end(),
            [](const PlannedLayer& layer) { return layer.scheme.needs_input_max(); });
    if (recipe.iters > 0 || recipe.start == Start::Compensated
        || recipe.objective == Objective::Fisher || wants_maxima || quantizes_head(plan)) {
        return count;
    }
    // Losses are measured on a batch.
    const int64_t settled = (kStatisticsTokens + tokens - 1) / tokens;
    return std::min(count, std::max(settled, recipe.batch_size));
}

double average_bits(const Plan& plan)
{
    double bits = 0, weights = 0;
    for (const PlannedLayer& layer : plan.layers) {
        if (layer.block_index >= 0) {
            const double count =
                static_cast<double>(layer.rows) * static_cast<double>(layer.columns);
            bits += count * effective_bits(layer.scheme, layer.columns);
            weights += count;
        }
    }
    return weights > 0 ? bits / weights : 0;
}

} // namespace bitsmith
