// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/input_importance.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

/// Adds Σ ω v of `values` v fp32 [tokens, in].
void InputImportanceHook::add(at::Tensor& sums, const at::Tensor& values) const
{
    const bool is_weighted = token_weights_.defined() && token_weights_.numel() == values.size(0);
    const at::Tensor more = is_weighted
        ? at::mv(values.t(), token_weights_.to(values.device(), at::kFloat).flatten())
        : values.sum(0);
    sums = sums.defined() ? sums + more : more;
}

at::Tensor InputImportanceHook::forward(const model::Linear& linear, const at::Tensor& x)
{
    {
        const at::NoGradGuard no_grad;
        const at::Tensor tokens = x.flatten(0, -2).to(at::kFloat);
        const bool is_weighted =
            token_weights_.defined() && token_weights_.numel() == tokens.size(0);
        add(sums_, tokens.square());
        if (wants_magnitudes_) {
            add(magnitudes_, tokens.abs());
        }
        weight_ +=
            is_weighted ? token_weights_.sum().item<double>() : static_cast<double>(tokens.size(0));
    }
    return linear.product(x, linear.weight);
}

} // namespace bitsmith::tune
