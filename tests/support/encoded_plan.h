// SPDX-License-Identifier: GPL-3.0-or-later
// Plans for an ExportModel whose layers the codecs encoded, for schemes of any data type.
#pragma once

#include "support/export_model.h"

#include <ATen/ATen.h>

#include <string>

namespace bitsmith::test {

/// The largest activation of every layer, for schemes that store one.
inline constexpr double kInputMax = 3.5;

/// Random values [rows, columns] in the codes of their codec.
inline quant::QuantizedWeight encoded_weight(const Scheme& scheme, int64_t rows, int64_t columns)
{
    quant::TunedValues tuned;
    if (scheme.needs_input_max()) {
        tuned.input_max = at::full({1}, kInputMax, at::kFloat);
    }
    const at::Tensor values = at::randn({rows, columns});
    quant::QuantizedWeight weight = quant::codec_for(scheme).encode(values, scheme, tuned);
    weight.input_max = tuned.input_max;
    return weight;
}

/// One layer of the plan.
inline void plan_encoded(ExportModel& model, PlannedLayer& layer, const Scheme& scheme)
{
    layer.scheme = scheme;
    model.layers.layers.insert_or_assign(
        layer.name, encoded_weight(scheme, layer.rows, layer.columns));
}

/// Every layer of the blocks.
inline void plan_encoded(ExportModel& model, const Scheme& scheme)
{
    for (PlannedLayer& layer : model.plan.layers) {
        if (layer.block_index >= 0) {
            plan_encoded(model, layer, scheme);
        }
    }
}

inline void plan_encoded(ExportModel& model, const std::string& name, const Scheme& scheme)
{
    for (PlannedLayer& layer : model.plan.layers) {
        if (layer.name == name) {
            plan_encoded(model, layer, scheme);
        }
    }
}

} // namespace bitsmith::test
