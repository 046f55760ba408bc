// SPDX-License-Identifier: GPL-3.0-or-later
// Copies parameters out of a TensorSource onto the device, checking names and shapes.
#pragma once

#include "model/block_layout.h"
#include "model/linear.h"
#include "model/norm.h"
#include "tensor/tensor_source.h"

#include <c10/core/TensorOptions.h>

namespace bitsmith::model {

class WeightLoader
{
public:
    WeightLoader(const tensor::TensorSource& tensors, const at::TensorOptions& options)
        : tensors_(tensors)
        , options_(options)
    { }

    const at::TensorOptions& options() const { return options_; }
    /// The tensor as stored, or decoded to fp32. Throws MissingTensor, ShapeMismatch with both
    /// shapes.
    at::Tensor stored(const std::string& name, const std::vector<int64_t>& shape) const;
    /// In the element type and on the device of the options.
    at::Tensor tensor(const std::string& name, const std::vector<int64_t>& shape) const;
    at::Tensor own(const at::Tensor& stored) const;
    Linear linear(const LinearSlot& slot) const;
    Norm norm(const NormSlot& slot) const;

private:
    const tensor::TensorSource& tensors_;
    at::TensorOptions options_;
};

/// Throws MissingTensor or ShapeMismatch when `name` is not there with `shape`.
void check_tensor(const tensor::TensorSource& tensors, const std::string& name,
    const std::vector<int64_t>& shape);
std::string shape_text(const std::vector<int64_t>& shape);

} // namespace bitsmith::model
