// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/mlx_layout.h"

#include "export/mlx_config.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <limits>

namespace bitsmith::exporting {

namespace {

constexpr int64_t kWordBits = 32;

void add_layer(
    std::vector<MlxTensor>& layout, const PlannedLayer& layer, const source::ModelSource& model)
{
    const int64_t group = layer.scheme.group_size;
    if (layer.columns % group != 0) {
        fail(ErrorCode::ShapeMismatch, "mlx holds only layers of whole groups",
            {{"layer", layer.name}, {"found", concat(layer.columns, " columns")},
                {"allowed", concat("multiples of ", group)}},
            "Keep this layer at 16 bits, or use smaller groups.");
    }
    const std::vector<int64_t> groups = {layer.rows, layer.columns / group};
    const bool is_affine = mlx_mode(layer.scheme) == "affine";
    const c10::ScalarType type = is_affine ? value_type(model, layer) : at::kByte;
    layout.push_back({layer.name + ".weight", MlxPart::Codes, layer.name,
        {layer.rows, layer.columns * layer.scheme.bits / kWordBits}, at::kUInt32});
    layout.push_back({layer.name + ".scales", MlxPart::Scales, layer.name, groups, type});
    if (is_affine) {
        layout.push_back({layer.name + ".biases", MlxPart::Biases, layer.name, groups, type});
    }
}

} // namespace

std::vector<MlxTensor> mlx_layout(const ExportInput& input)
{
    check_mlx_model(input);
    return folder_layout<MlxPart>(
        input, [&](std::vector<MlxTensor>& layout, const PlannedLayer& layer) {
            add_layer(layout, layer, input.model);
        });
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

at::Tensor MlxPacker::produce(const MlxTensor& tensor)
{
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
