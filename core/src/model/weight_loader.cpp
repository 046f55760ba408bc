// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/weight_loader.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

std::string shape_text(const std::vector<int64_t>& shape)
{
    std::string text = "[";
    for (const int64_t size : shape) {
        text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    }
    return text + "]";
}

void check_tensor(
    const tensor::TensorSource& tensors, const std::string& name, const std::vector<int64_t>& shape)
{
    const tensor::TensorEntry* entry = tensors.find(name);
    if (!entry) {
        fail(ErrorCode::MissingTensor, "a tensor that config.json calls for is not in the model",
            {{"tensor", name}, {"allowed", shape_text(shape)}},
            "check that the download is complete and that config.json belongs to these weights");
    }
    if (entry->shape != shape) {
        fail(ErrorCode::ShapeMismatch, "the shape of a tensor contradicts config.json",
            {{"tensor", name}, {"found", shape_text(entry->shape)}, {"allowed", shape_text(shape)}},
            "check that config.json belongs to these weights");
    }
}

at::Tensor WeightLoader::stored(const std::string& name, const std::vector<int64_t>& shape) const
{
    check_tensor(tensors_, name, shape);
    return tensors_.load(name);
}

at::Tensor WeightLoader::tensor(const std::string& name, const std::vector<int64_t>& shape) const
{
    return own(stored(name, shape));
}

at::Tensor WeightLoader::own(const at::Tensor& stored) const
{
    return stored.to(options_).contiguous();
}

Linear WeightLoader::linear(const LinearSlot& slot) const
{
    at::Tensor bias;
    if (slot.has_bias) {
        bias = tensor(slot.name + ".bias", {slot.rows});
    }
    return Linear(slot.name, tensor(slot.name + ".weight", {slot.rows, slot.columns}), bias);
}

Norm WeightLoader::norm(const NormSlot& slot) const
{
    const at::Tensor weight = stored(slot.name + ".weight", {slot.size});
    return Norm(slot.spec, own(weight), weight.scalar_type());
}

} // namespace bitsmith::model
