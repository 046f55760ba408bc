// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/finite.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitsmith::tensor {

int64_t count_non_finite(const at::Tensor& tensor)
{
    if (!at::isFloatingType(tensor.scalar_type()) || tensor.numel() == 0) {
        return 0;
    }
    const bool is_narrow = c10::elementSize(tensor.scalar_type()) == 1;
    const at::Tensor values = is_narrow ? tensor.to(at::kFloat) : tensor;
    // Extremes let NaN through, take one pass and no memory; the count is needed for few tensors.
    const auto [lowest, highest] = values.aminmax();
    if (std::isfinite(lowest.item<double>()) && std::isfinite(highest.item<double>())) {
        return 0;
    }
    return values.isfinite().logical_not().sum().item<int64_t>();
}

} // namespace bitsmith::tensor
