// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_round_layout.h"

#include "base/text.h"

#include <ATen/ATen.h>

#include <set>

namespace bitsmith::exporting {

namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kBias = ".bias";

void check_shape(const PlannedLayer& layer)
{
    if (layer.rows % 32 != 0 || layer.columns % 32 != 0) {
        fail(ErrorCode::ShapeMismatch,
            "auto_round packs only layers whose sides are multiples of 32",
            {{"layer", layer.name}, {"found", concat("[", layer.rows, ", ", layer.columns, "]")}},
            "Keep this layer at 16 bits.");
    }
}

void add_layer(AutoRoundLayout& layout, const PlannedLayer& layer)
{
    check_shape(layer);
    const int64_t groups = quant::group_count(layer.scheme, layer.columns);
    const int64_t bits = layer.scheme.bits;
    layout.tensors.push_back({layer.name + ".qweight", AutoRoundPart::Codes, layer.name,
        {layer.columns / 32 * bits, layer.rows}, at::kInt});
    layout.tensors.push_back({layer.name + ".qzeros", AutoRoundPart::Zeros, layer.name,
        {groups, layer.rows / 32 * bits}, at::kInt});
    layout.tensors.push_back({layer.name + ".scales", AutoRoundPart::Scales, layer.name,
        {groups, layer.rows}, at::kHalf});
}

} // namespace

AutoRoundLayout auto_round_layout(const ExportInput& input)
{
    AutoRoundLayout layout;
    std::set<std::string, std::less<>> placed;
    for (const tensor::TensorEntry& entry : input.model.tensors->entries()) {
        if (const auto* layer = quantized_layer(input.plan, entry.name, kWeight)) {
            add_layer(layout, *layer);
            placed.insert(layer->name);
        } else if (quantized_layer(input.plan, entry.name, kBias) != nullptr) {
            layout.tensors.push_back(
                {entry.name, AutoRoundPart::Bias, entry.name, entry.shape, at::kHalf});
        } else {
            layout.tensors.push_back({entry.name, AutoRoundPart::Copy, entry.name, entry.shape,
                copied_type(input.model, entry)});
        }
    }
    for (const PlannedLayer* head : heads_to_add(input, placed)) {
        add_layer(layout, *head);
    }
    const bool has_zeros = std::any_of(input.plan.layers.begin(), input.plan.layers.end(),
        [](const PlannedLayer& layer) { return layer.scheme.is_quantized() && !layer.scheme.sym; });
    layout.offset = has_zeros ? tensor::ZeroOffset::Plain : tensor::ZeroOffset::MinusOne;
    return layout;
}

const quant::QuantizedWeight& AutoRoundPacker::layer(const std::string& name)
{
    if (layer_name_ == name) {
        return layer_;
    }
    layer_ = input_.layers.load(name);
    layer_name_ = name;
    const PlannedLayer* planned = input_.plan.find(name);
    BITSMITH_ASSERT(planned != nullptr);
    const int64_t groups = quant::group_count(planned->scheme, planned->columns);
    if (layer_.rows() != planned->rows || layer_.columns() != planned->columns
        || layer_.scales.numel() != planned->rows * groups
        || layer_.zeros.numel() != planned->rows * groups) {
        fail(ErrorCode::ShapeMismatch, "quantized weights do not have the planned shape",
            {{"layer", name}, {"found", concat("[", layer_.rows(), ", ", layer_.columns(), "]")},
                {"allowed", concat("[", planned->rows, ", ", planned->columns, "]")}});
    }
    if (layer_.scales.scalar_type() != at::kHalf
        || !at::isfinite(layer_.scales).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "scales are not finite 16-bit numbers", {{"layer", name}},
            "Keep this layer at 16 bits, or use smaller groups.");
    }
    return layer_;
}

at::Tensor AutoRoundPacker::produce(const AutoRoundTensor& tensor)
{
    switch (tensor.part) {
    case AutoRoundPart::Codes: {
        const quant::QuantizedWeight& weight = layer(tensor.source);
        return tensor::pack_gptq_codes(weight.codes, input_.plan.find(tensor.source)->scheme.bits);
    }
    case AutoRoundPart::Zeros: {
        const quant::QuantizedWeight& weight = layer(tensor.source);
        return tensor::pack_gptq_zeros(weight.zeros.reshape({weight.rows(), -1}),
            input_.plan.find(tensor.source)->scheme.bits, layout_.offset);
    }
    case AutoRoundPart::Scales: {
        const quant::QuantizedWeight& weight = layer(tensor.source);
        return weight.scales.reshape({weight.rows(), -1}).t().contiguous();
    }
    case AutoRoundPart::Bias: {
        at::Tensor bias = input_.model.tensors->load(tensor.source).to(tensor.type);
        if (!at::isfinite(bias).all().item<bool>()) {
            fail(ErrorCode::NumericFailure, "a bias exceeds the range of 16-bit numbers",
                {{"tensor", tensor.source}}, "Keep this layer at 16 bits.");
        }
        return bias;
    }
    case AutoRoundPart::Copy:
        return input_.model.tensors->load(tensor.source).to(tensor.type);
    }
    fail(ErrorCode::Internal, "unknown part of a layout");
}

} // namespace bitsmith::exporting
