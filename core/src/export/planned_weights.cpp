// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/planned_weights.h"

#include "export/config_writer.h"
#include "quant/fp8_codec.h"
#include "quant/group_layout.h"

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace {

void check_weight(const quant::QuantizedWeight& weight, const PlannedLayer& planned)
{
    const quant::GroupLayout groups(planned.scheme, planned.rows, planned.columns);
    const bool has_zeros =
        planned.scheme.sym || (weight.zeros.defined() && weight.zeros.numel() == groups.n_groups());
    if (weight.scheme != planned.scheme || weight.rows() != planned.rows
        || weight.columns() != planned.columns || weight.scales.numel() != groups.n_groups()
        || !has_zeros) {
        fail(ErrorCode::ShapeMismatch, "quantized weights do not have the planned shape",
            {{"layer", planned.name},
                {"found",
                    concat("[", weight.rows(), ", ", weight.columns(), "] as ",
                        scheme_name(weight.scheme))},
                {"allowed",
                    concat("[", planned.rows, ", ", planned.columns, "] as ",
                        scheme_name(planned.scheme))}});
    }
    if (weight.scales.is_floating_point() && !at::isfinite(weight.scales).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "scales are not finite numbers", {{"layer", planned.name}},
            "Keep this layer at 16 bits, or use smaller groups.");
    }
}

} // namespace

const quant::QuantizedWeight& PlannedWeights::load(const std::string& layer)
{
    if (name_ != layer) {
        const PlannedLayer* planned = input_.plan.find(layer);
        BITSMITH_ASSERT(planned != nullptr);
        quant::QuantizedWeight loaded = input_.layers.load(layer);
        check_weight(loaded, *planned);
        weight_ = std::move(loaded);
        name_ = layer;
    }
    return weight_;
}

c10::ScalarType value_type(const source::ModelSource& model, const PlannedLayer& layer)
{
    return value_type(model, layer.name + ".weight");
}

c10::ScalarType value_type(const source::ModelSource& model, const std::string& tensor)
{
    const tensor::TensorEntry* entry = model.tensors->find(tensor);
    const c10::ScalarType type = entry == nullptr ? float_type(model) : copied_type(model, *entry);
    const bool is_plain = type == at::kFloat || type == at::kHalf || type == at::kBFloat16;
    return is_plain ? type : float_type(model);
}

at::Tensor finite_as(const at::Tensor& values, c10::ScalarType type, const std::string& layer)
{
    at::Tensor result = values.to(type);
    if (!at::isfinite(result).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "a value exceeds the range of the model's element type",
            {{"layer", layer}, {"allowed", at::toString(type)}}, "Keep this layer at 16 bits.");
    }
    return result;
}

at::Tensor largest_input(const quant::QuantizedWeight& weight, const std::string& layer)
{
    if (!weight.input_max.defined()) {
        fail(ErrorCode::MissingTensor, "the largest activation of a layer is not known",
            {{"layer", layer}}, "Quantize again with calibration samples.");
    }
    return weight.input_max.to(at::kCPU, at::kFloat).reshape({1});
}

at::Tensor input_scale(const quant::QuantizedWeight& weight, const std::string& layer)
{
    return quant::Fp8Codec()
        .scales(largest_input(weight, layer), {}, {}, /*wants_stored=*/true)
        .stored;
}

} // namespace bitsmith::exporting
