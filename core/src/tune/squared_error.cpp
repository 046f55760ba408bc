// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/squared_error.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

SquaredError::SquaredError(
    const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& mask)
{
    const at::NoGradGuard no_grad;
    const at::ScalarType type = prediction.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    difference = at::sub(prediction.detach().to(type), target.to(prediction.device(), type));
    if (mask.defined()) {
        difference.mul_(mask.to(prediction.device()).unsqueeze(-1));
    }
    const at::Tensor flat = difference.reshape({-1});
    sum = at::dot(flat, flat).item<double>();
}

double counted_elements(const at::Tensor& mask, int64_t hidden)
{
    return mask.sum().item<double>() * static_cast<double>(hidden);
}

} // namespace bitsmith::tune
