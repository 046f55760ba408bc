// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/input_importance.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

at::Tensor InputImportanceHook::forward(const model::Linear& linear, const at::Tensor& x)
{
    {
        const at::NoGradGuard no_grad;
        const at::Tensor tokens = x.flatten(0, -2).to(at::kFloat);
        const bool is_weighted =
            token_weights_.defined() && token_weights_.numel() == tokens.size(0);
        const at::Tensor squares = tokens.square();
        const at::Tensor sums = is_weighted
            ? at::mv(squares.t(), token_weights_.to(squares.device(), at::kFloat).flatten())
            : squares.sum(0);
        sums_ = sums_.defined() ? sums_ + sums : sums;
        weight_ +=
            is_weighted ? token_weights_.sum().item<double>() : static_cast<double>(tokens.size(0));
    }
    return linear.product(x, linear.weight);
}

} // namespace bitsmith::tune
