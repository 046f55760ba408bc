// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/fp8_native_layout.h"

#include "quant/group_layout.h"

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace {

void add_layer(std::vector<Fp8Tensor>& layout, const PlannedLayer& layer)
{
    const quant::GroupLayout groups(layer.scheme, layer.rows, layer.columns);
    layout.push_back({layer.name + ".weight", Fp8Part::Codes, layer.name,
        {layer.rows, layer.columns}, at::kFloat8_e4m3fn});
    if (groups.per_tensor) {
        layout.push_back(
            {layer.name + ".weight_scale", Fp8Part::Scale, layer.name, {1}, at::kFloat});
    } else {
        layout.push_back({layer.name + ".weight_scale_inv", Fp8Part::Scale, layer.name,
            {groups.group_rows, groups.groups}, at::kFloat});
    }
    if (!layer.scheme.act_dynamic) {
        layout.push_back(
            {layer.name + ".input_scale", Fp8Part::InputScale, layer.name, {1}, at::kFloat});
    }
}

} // namespace

const Scheme& fp8_scheme(const Plan& plan)
{
    if (const std::string reason = mixed_refusal(plan, "fp8"); !reason.empty()) {
        fail(ErrorCode::UnsupportedScheme, reason, {},
            "Keep layers at 16 bits, or export to llm_compressor.");
    }
    const PlannedLayer* first = first_quantized(plan);
    if (first == nullptr) {
        fail(ErrorCode::UnsupportedScheme, "fp8 holds models with quantized layers only",
            {{"found", "no quantized layer"}}, "Export to fake.");
    }
    return first->scheme;
}

std::vector<Fp8Tensor> fp8_layout(const ExportInput& input)
{
    fp8_scheme(input.plan);
    return folder_layout<Fp8Part>(input, add_layer);
}

at::Tensor Fp8Packer::produce(const Fp8Tensor& tensor)
{
    if (tensor.part == Fp8Part::Copy) {
        return input_.model.tensors->load(tensor.source).to(tensor.type);
    }
    const quant::QuantizedWeight& weight = weights_.load(tensor.source);
    switch (tensor.part) {
    case Fp8Part::Codes:
        return weight.codes.contiguous().view(at::kFloat8_e4m3fn);
    case Fp8Part::Scale:
        return weight.scales.reshape(tensor.shape).contiguous();
    case Fp8Part::InputScale:
        return input_scale(weight, tensor.source);
    case Fp8Part::Copy:
        break;
    }
    fail(ErrorCode::Internal, "unknown part of a layout");
}

} // namespace bitsmith::exporting
