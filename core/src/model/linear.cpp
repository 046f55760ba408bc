// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/linear.h"

#include <ATen/ATen.h>

namespace bitsmith::model {

at::Tensor Linear::forward(const at::Tensor& x) const
{
    return hook_ ? hook_->forward(*this, x) : product(x, weight);
}

at::Tensor Linear::product(const at::Tensor& x, const at::Tensor& effective_weight) const
{
    return at::linear(transformed(x), effective_weight, bias);
}

at::Tensor Linear::transformed(const at::Tensor& x) const
{
    return input_transform ? input_transform->apply(x) : x;
}

} // namespace bitsmith::model
