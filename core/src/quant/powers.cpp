// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/powers.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::quant {

at::Tensor exponents(const at::Tensor& x)
{
    const at::Tensor values = x.detach();
    const at::Tensor exponent = std::get<1>(at::frexp(values)).to(at::kInt) - 1;
    return exponent.masked_fill(values == 0, -10000);
}

at::Tensor power_of_two(const at::Tensor& exponent, at::ScalarType type)
{
    BITSMITH_ASSERT(type == at::kFloat || type == at::kDouble);
    // The exponent field of IEEE numbers with a fraction of zero.
    return type == at::kFloat
        ? (exponent.to(at::kInt) + 127).mul_(int64_t{1} << 23).contiguous().view(at::kFloat)
        : (exponent.to(at::kLong) + 1023).mul_(int64_t{1} << 52).contiguous().view(at::kDouble);
}

} // namespace bitsmith::quant
