// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/mlx_layout.h"

#include "export/mlx_config.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <limits>

namespace bitsmith::exporting {

std::string mlx_group_refusal(int64_t columns, int64_t group)
{
    return columns % group == 0
        ? ""
        : concat("mlx holds only layers of whole groups: columns in multiples of ", group);
}

namespace {

constexpr int64_t kWordBits = 32;

/// Of a module [rows..., columns] whose source is of this type.
void add_module(std::vector<MlxTensor>& layout, const std::string& module, const Scheme& scheme,
    const std::vector<int64_t>& rows, int64_t columns, c10::ScalarType source_type)
{
    const int64_t group = scheme.group_size;
    if (const std::string reason = mlx_group_refusal(columns, group); !reason.empty()) {
        fail(ErrorCode::ShapeMismatch, reason,
            {{"layer", module}, {"found", concat(columns, " columns")}},
            "Keep this layer at 16 bits, or use smaller groups.");
    }
    const auto shape = [&rows](int64_t width) {
        std::vector<int64_t> sizes = rows;
        sizes.push_back(width);
        return sizes;
    };
    const bool is_affine = mlx_mode(scheme) == "affine";
    const c10::ScalarType type = is_affine ? source_type : at::kByte;
    layout.push_back({module + ".weight", MlxPart::Codes, module,
        shape(columns * scheme.bits / kWordBits), at::kUInt32});
    layout.push_back({module + ".scales", MlxPart::Scales, module, shape(columns / group), type});
    if (is_affine) {
        layout.push_back(
            {module + ".biases", MlxPart::Biases, module, shape(columns / group), type});
    }
}

void add_stack(std::vector<MlxTensor>& layout, const MlxStack& stack, const ExportInput& input)
{
    const auto& [module, experts] = stack;
    const c10::ScalarType type = stack_type(input.model, experts);
    const std::vector<int64_t> rows = {experts.experts(), experts.rows};
    const Scheme& scheme = stack_scheme(input.plan, experts);
    if (scheme.is_quantized()) {
        add_module(layout, module, scheme, rows, experts.columns, type);
    } else {
        layout.push_back({module + ".weight", MlxPart::Copy, module,
            {experts.experts(), experts.rows, experts.columns}, type});
    }
    if (experts.has_bias) {
        layout.push_back({module + ".bias", MlxPart::Copy, module, rows, type});
    }
}

} // namespace

std::vector<MlxTensor> mlx_layout(const ExportInput& input)
{
    check_mlx_model(input);
    const std::vector<MlxStack> stacks = mlx_stacks(input.model.spec);
    std::vector<ExpertStack> experts;
    for (const MlxStack& stack : stacks) {
        experts.push_back(stack.experts);
    }
    std::vector<MlxTensor> layout = folder_layout<MlxPart>(
        input,
        [&](std::vector<MlxTensor>& tensors, const PlannedLayer& layer) {
            add_module(tensors, layer.name, layer.scheme, {layer.rows}, layer.columns,
                value_type(input.model, layer));
        },
        experts);
    for (const MlxStack& stack : stacks) {
        add_stack(layout, stack, input);
    }
    return layout;
}

AffineGroups affine_groups(
    const quant::QuantizedWeight& weight, c10::ScalarType type, const std::string& layer)
{
    const at::Tensor scales = finite_as(weight.scales.reshape({weight.rows(), -1}), type, layer);
    const at::Tensor zeros = weight.zeros.reshape(scales.sizes()).to(at::kFloat);
    const at::Tensor offsets = weight.scheme.data_type == DataType::IntFloatZero
        ? zeros
        : scales.to(at::kFloat).mul(zeros).neg();
    return {scales, finite_as(offsets, type, layer)};
}

double rounding_of(c10::ScalarType type)
{
    switch (type) {
    case at::kBFloat16:
        return std::numeric_limits<c10::BFloat16>::epsilon() / 2;
    case at::kHalf:
        return std::numeric_limits<c10::Half>::epsilon() / 2;
    default:
        return std::numeric_limits<float>::epsilon() / 2;
    }
}

MlxPacker::MlxPacker(const ExportInput& input)
    : input_(input)
    , weights_(input)
{
    for (MlxStack& stack : mlx_stacks(input.model.spec)) {
        stacks_.emplace(std::move(stack.module), std::move(stack.experts));
    }
}

std::vector<std::string> MlxPacker::layers_of(const std::string& module) const
{
    const auto stack = stacks_.find(module);
    return stack == stacks_.end() ? std::vector{module} : stack->second.layers;
}

at::Tensor MlxPacker::produce_stack(const MlxTensor& tensor, const ExpertStack& stack)
{
    if (tensor.part == MlxPart::Copy) {
        return tensor.name.ends_with(".bias") ? stack_biases(input_.model, stack)
                                              : stack_weights(input_.model, stack);
    }
    MlxTensor one = tensor;
    one.shape.erase(one.shape.begin());
    std::vector<at::Tensor> experts;
    for (const std::string& layer : stack.layers) {
        one.source = layer;
        experts.push_back(produce(one));
    }
    return at::stack(experts);
}

at::Tensor MlxPacker::produce(const MlxTensor& tensor)
{
    if (const auto stack = stacks_.find(tensor.source); stack != stacks_.end()) {
        return produce_stack(tensor, stack->second);
    }
    if (tensor.part == MlxPart::Copy) {
        return input_.model.tensors->load(tensor.source).to(tensor.type);
    }
    const quant::QuantizedWeight& weight = weights_.load(tensor.source);
    switch (tensor.part) {
    case MlxPart::Codes:
        return tensor::pack_stream(weight.codes, weight.scheme.bits);
    case MlxPart::Scales:
        return tensor.type == at::kByte ? weight.scales.reshape(tensor.shape).contiguous()
                                        : affine_groups(weight, tensor.type, tensor.source).scales;
    case MlxPart::Biases:
        return affine_groups(weight, tensor.type, tensor.source).biases;
    case MlxPart::Copy:
        break;
    }
    fail(ErrorCode::Internal, "unknown part of a layout");
}

} // namespace bitsmith::exporting
