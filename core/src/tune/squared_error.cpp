// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/squared_error.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

SquaredError::SquaredError(
    const at::Tensor& prediction, const at::Tensor& target, const at::Tensor& weights)
{
    const at::NoGradGuard no_grad;
    const at::ScalarType type = prediction.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    difference = at::sub(prediction.detach().to(type), target.to(prediction.device(), type));
    if (!weights.defined()) {
        const at::Tensor flat = difference.reshape({-1});
        sum = at::dot(flat, flat).item<double>();
        return;
    }
    const at::Tensor weighted = difference * weights.to(prediction.device(), type).unsqueeze(-1);
    sum = at::dot(difference.reshape({-1}), weighted.reshape({-1})).item<double>();
    difference = weighted;
}

double counted_elements(const at::Tensor& weights, int64_t hidden)
{
    return weights.sum(weights.scalar_type() == at::kBool ? at::kLong : at::kDouble).item<double>()
        * static_cast<double>(hidden);
}

} // namespace bitsmith::tune
