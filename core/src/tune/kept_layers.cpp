// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/kept_layers.h"

#include "base/text.h"
#include "quant/affine.h"
#include "tune/layer_errors.h"

#include <bitsmith/error.h>

#include <algorithm>

namespace bitsmith::tune {

namespace {

/// Empty: the weight of the layer can be quantized.
std::string weight_refusal(const PlannedLinear& layer)
{
    try {
        quant::check_weight(layer.linear->weight, layer.planned->scheme, {});
        return {};
    } catch (const Error& error) {
        if (error.code() != ErrorCode::NumericFailure) {
            throw;
        }
        return error.message();
    }
}

} // namespace

bool contains(const std::vector<KeptLayer>& kept, std::string_view layer)
{
    return std::any_of(
        kept.begin(), kept.end(), [layer](const KeptLayer& entry) { return entry.name == layer; });
}

std::vector<KeptLayer> keep_unit(const std::vector<PlannedLinear>& layers, std::string_view layer,
    const std::string& why, const BlockInputs& inputs)
{
    const auto found = std::find_if(layers.begin(), layers.end(),
        [layer](const PlannedLinear& entry) { return entry.linear->name == layer; });
    if (found == layers.end() || !inputs.may_keep) {
        return {};
    }
    std::vector<KeptLayer> kept;
    std::vector<std::string> names;
    for (const PlannedLinear& entry : layers) {
        const bool is_cause = &entry == &*found;
        if (is_cause || (!entry.unit.empty() && entry.unit == found->unit)) {
            names.push_back(entry.linear->name);
            kept.push_back({names.back(),
                concat("stays at 16 bits: ",
                    is_cause ? why : concat("runtimes fuse it with ", layer, ", where ", why))});
        }
    }
    return inputs.may_keep(names) ? kept : std::vector<KeptLayer>();
}

std::vector<KeptLayer> set_apart(std::vector<PlannedLinear>& layers, const BlockInputs& inputs)
{
    std::vector<KeptLayer> kept;
    for (const PlannedLinear& layer : layers) {
        const std::string why =
            inputs.may_keep && !contains(kept, layer.linear->name) ? weight_refusal(layer) : "";
        if (!why.empty()) {
            const auto unit = keep_unit(layers, layer.linear->name, why, inputs);
            kept.insert(kept.end(), unit.begin(), unit.end());
        }
    }
    std::erase_if(
        layers, [&kept](const PlannedLinear& layer) { return contains(kept, layer.linear->name); });
    return kept;
}

void report_kept(RunContext& context, int64_t block, const std::vector<KeptLayer>& kept)
{
    for (const KeptLayer& layer : kept) {
        context.events.warn("numeric_kept", concat(layer.name, ' ', layer.reason));
        LayerFinished finished;
        finished.block = block;
        finished.layer = layer.name;
        finished.scheme = "keep";
        finished.bits = 16;
        finished.cosine = 1;
        finished.sqnr_db = kMaxDecibels;
        finished.deviation = layer.reason;
        context.events.emit(finished);
    }
}

} // namespace bitsmith::tune
