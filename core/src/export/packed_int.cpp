// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/packed_int.h"

#include "base/text.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace bitsmith::exporting {

namespace {

constexpr int64_t kWordBits = 32;
constexpr int64_t kGptqSide = 32; ///< of which both sides of a layer are multiples
constexpr int64_t kAwqBits = 4, kAwqRows = 8;
constexpr std::array<int64_t, 4> kAwqGroups = {16, 32, 64, 128}; ///< that kernels have

int64_t words_for(int64_t values, int64_t bits)
{
    return values * bits / kWordBits;
}

void add_layer(
    std::vector<PackedIntTensor>& layout, const PlannedLayer& layer, const PackedIntStyle& style)
{
    const std::string reason = packed_shape_refusal(layer, style);
    if (!reason.empty()) {
        fail(ErrorCode::ShapeMismatch, reason,
            {{"layer", layer.name}, {"found", shape_text({layer.rows, layer.columns})}},
            "Keep this layer at 16 bits.");
    }
    const auto add = [&](const char* ending, PackedIntPart part, std::vector<int64_t> shape,
                         c10::ScalarType type) {
        layout.push_back({layer.name + ending, part, layer.name, std::move(shape), type});
    };
    const int64_t bits = layer.scheme.bits;
    const int64_t groups = quant::group_count(layer.scheme, layer.columns);
    const std::vector<int64_t> codes = style.order == PackedIntOrder::Awq
        ? std::vector<int64_t>{layer.columns, words_for(layer.rows, bits)}
        : std::vector<int64_t>{words_for(layer.columns, bits), layer.rows};
    add(".qweight", PackedIntPart::Codes, codes, at::kInt);
    add(".qzeros", PackedIntPart::Zeros, {groups, words_for(layer.rows, bits)}, at::kInt);
    add(".scales", PackedIntPart::Scales, {groups, layer.rows}, at::kHalf);
    if (style.has_group_index) {
        add(".g_idx", PackedIntPart::GroupIndex, {layer.columns}, at::kInt);
    }
}

/// What fp16 scales and packed zero points ask for besides PlannedWeights.
void check_groups(const quant::QuantizedWeight& weight, const std::string& layer)
{
    if (!weight.zeros.defined() || weight.zeros.numel() != weight.scales.numel()) {
        fail(ErrorCode::ShapeMismatch, "a layer has not one zero point per scale",
            {{"layer", layer}});
    }
    if (weight.scales.scalar_type() != at::kHalf) {
        fail(ErrorCode::NumericFailure, "scales are not 16-bit numbers",
            {{"layer", layer}, {"found", at::toString(weight.scales.scalar_type())}});
    }
    // A scale of 0 makes all weights of its group 0, whatever their codes are.
    if (weight.scales.eq(0).any().item<bool>()) {
        fail(ErrorCode::NumericFailure, "a scale is too small for a 16-bit number",
            {{"layer", layer}}, "Keep this layer at 16 bits.");
    }
}

at::Tensor bias_of(const ExportInput& input, const PackedIntTensor& tensor)
{
    at::Tensor bias = input.model.tensors->load(tensor.source).to(tensor.type);
    if (!at::isfinite(bias).all().item<bool>()) {
        fail(ErrorCode::NumericFailure, "a bias exceeds the range of 16-bit numbers",
            {{"tensor", tensor.source}}, "Keep this layer at 16 bits.");
    }
    return bias;
}

} // namespace

std::string packed_int_refusal(const Scheme& scheme, const PackedIntStyle& style)
{
    if (scheme.data_type != DataType::Int) {
        return concat(
            style.format, " holds integer codes, not ", enum_name(scheme.data_type), " codes");
    }
    if (scheme.quantizes_activations()) {
        return concat(style.format, " holds integer weights only with 16-bit activations");
    }
    if (scheme.group_rows != 1 || (scheme.group_size != kGroupPerRow && scheme.group_size < 1)) {
        return concat(style.format, " has a scale per group or row, not one per tensor or tile");
    }
    const bool is_awq = style.order == PackedIntOrder::Awq;
    if (is_awq ? scheme.bits != kAwqBits : !tensor::is_packable_width(scheme.bits)) {
        return concat(
            style.format, " packs ", is_awq ? "4" : "2, 3, 4 or 8", " bits, not ", scheme.bits);
    }
    const bool has_kernel = !is_awq
        || std::find(kAwqGroups.begin(), kAwqGroups.end(), scheme.group_size) != kAwqGroups.end();
    return has_kernel ? "" : concat(style.format, " has groups of 16, 32, 64 or 128 columns");
}

std::string packed_shape_refusal(const PlannedLayer& layer, const PackedIntStyle& style)
{
    if (style.order == PackedIntOrder::Gptq) {
        return layer.rows % kGptqSide == 0 && layer.columns % kGptqSide == 0
            ? ""
            : concat(style.format, " packs only layers whose sides are multiples of 32");
    }
    return layer.rows % kAwqRows == 0 && layer.columns % layer.scheme.group_size == 0
        ? ""
        : concat(style.format, " packs only layers of whole groups whose rows are multiples of 8");
}

bool has_asymmetric_layers(const Plan& plan)
{
    return std::any_of(plan.layers.begin(), plan.layers.end(),
        [](const PlannedLayer& layer) { return layer.scheme.is_quantized() && !layer.scheme.sym; });
}

std::vector<PackedIntTensor> packed_int_layout(
    const ExportInput& input, const PackedIntStyle& style)
{
    auto layout = folder_layout<PackedIntPart>(
        input, [&](auto& tensors, const PlannedLayer& layer) { add_layer(tensors, layer, style); });
    for (PackedIntTensor& tensor : layout) {
        if (tensor.part == PackedIntPart::Copy
            && quantized_layer(input.plan, tensor.name, ".bias") != nullptr) {
            tensor.part = PackedIntPart::Bias;
            tensor.type = at::kHalf;
        }
    }
    return layout;
}

at::Tensor PackedIntPacker::produce(const PackedIntTensor& tensor)
{
    if (tensor.part == PackedIntPart::Copy) {
        return input_.model.tensors->load(tensor.source).to(tensor.type);
    }
    if (tensor.part == PackedIntPart::Bias) {
        return bias_of(input_, tensor);
    }
    const quant::QuantizedWeight& weight = weights_.load(tensor.source);
    check_groups(weight, tensor.source);
    const bool is_awq = style_.order == PackedIntOrder::Awq;
    const int64_t bits = weight.scheme.bits;
    const auto per_row = [&](const at::Tensor& values) {
        return values.reshape({weight.rows(), -1});
    };
    switch (tensor.part) {
    case PackedIntPart::Codes:
        return is_awq ? tensor::pack_awq(weight.codes)
                      : tensor::pack_gptq_codes(weight.codes, bits);
    case PackedIntPart::Zeros:
        return is_awq ? tensor::pack_awq(per_row(weight.zeros))
                      : tensor::pack_gptq_zeros(per_row(weight.zeros), bits, style_.offset);
    case PackedIntPart::Scales:
        return per_row(weight.scales).t().contiguous();
    case PackedIntPart::GroupIndex:
        return at::arange(weight.columns(), at::kInt)
            .floor_divide(quant::group_width(weight.scheme, weight.columns()));
    case PackedIntPart::Copy:
    case PackedIntPart::Bias:
        break;
    }
    fail(ErrorCode::Internal, "unknown part of a layout");
}

} // namespace bitsmith::exporting
