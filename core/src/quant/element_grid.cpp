// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/element_grid.h"

#include "quant/powers.h"
#include "quant/rounding.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitsmith::quant {

int64_t ElementGrid::max_exponent() const
{
    return std::ilogb(max);
}

at::Tensor ElementGrid::round(const at::Tensor& t, const at::Tensor& v, bool v_in_scales) const
{
    const bool shifts_scaled = v_in_scales && v.defined();
    const at::Tensor x = clamp_inside(shifts_scaled ? t + v : t, -max, max);
    const at::Tensor exponent = exponents(x).clamp_min(min_exponent);
    at::Tensor step = power_of_two(exponent - mantissa_bits, x.scalar_type());
    if (v_in_scales && x.requires_grad()) {
        const at::Tensor follows =
            (x.detach().abs() >= std::ldexp(1.0, static_cast<int>(min_exponent)))
                .logical_and_(exponent >= min_exponent);
        const at::Tensor ratio = at::where(follows, step / x.detach().abs(), 0.0);
        step = pass_gradient(step, x.abs() * ratio);
    }
    at::Tensor steps = x / step;
    if (v.defined() && !v_in_scales) {
        steps = steps + v;
    }
    // A shift may reach the next power of two, behind which numbers lie farther apart.
    const double next = std::ldexp(1.0, static_cast<int>(mantissa_bits) + 1);
    const at::Tensor rounded = clamp_inside(round_ste(steps), -next, next) * step;
    return clamp_inside(rounded, -max, max) + 0.0;
}

at::Tensor ElementGrid::codes(const at::Tensor& values) const
{
    const at::Tensor exponent = exponents(values).clamp_min(min_exponent);
    const at::Tensor steps =
        values.abs() / power_of_two(exponent - mantissa_bits, values.scalar_type());
    const at::Tensor index =
        (exponent - min_exponent) * (int64_t{1} << mantissa_bits) + steps.to(at::kInt);
    return (index + (values < 0).to(at::kInt) * (int64_t{1} << (bits - 1))).to(at::kByte);
}

at::Tensor ElementGrid::table() const
{
    const int64_t half = int64_t{1} << (bits - 1);
    at::Tensor numbers = at::empty({2 * half}, at::kFloat);
    auto number = numbers.accessor<float, 1>();
    for (int64_t code = 0; code < half; ++code) {
        const int64_t fraction = int64_t{1} << mantissa_bits;
        const bool is_small = code < fraction; // zero and what lies below the first power of two
        const int64_t steps = is_small ? code : fraction + code % fraction;
        const int64_t exponent =
            min_exponent + (is_small ? 0 : code / fraction - 1) - mantissa_bits;
        const double value = std::ldexp(static_cast<double>(steps), static_cast<int>(exponent));
        // Codes behind the largest number (infinity, NaN) never arise.
        number[code] = static_cast<float>(std::min(value, max));
        number[code + half] = -number[code];
    }
    return numbers;
}

at::Tensor ElementGrid::values(const at::Tensor& codes) const
{
    const at::Tensor numbers = table().to(codes.device());
    return numbers.index_select(0, codes.flatten().to(at::kInt)).view(codes.sizes());
}

} // namespace bitsmith::quant
