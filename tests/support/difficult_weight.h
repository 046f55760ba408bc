// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/codec.h"

#include <ATen/ATen.h>

/// Rows with everything that can go wrong: ordinary values, zeros, constants of both signs,
/// denormals, large values, one outlier, negative zeros.
inline at::Tensor difficult_weight(int64_t columns)
{
    at::manual_seed(5);
    at::Tensor w = at::randn({9, columns}) * 0.05;
    w[1].zero_();
    w[2].fill_(0.25);
    w[3].fill_(-3.0);
    w[4].mul_(1e-39);
    w[5].mul_(1e5);
    w[6][columns / 2] = 100.0;
    w[7].fill_(-0.0);
    w[8].mul_(1e-4);
    return w;
}

/// Values that also leave the range they are clamped to, factors those of [0, largest_factor].
inline bitsmith::quant::TunedValues random_values(
    const at::Tensor& w, const bitsmith::Scheme& scheme, double largest_factor = 1)
{
    const bitsmith::quant::GroupLayout layout(scheme, w.size(0), w.size(1));
    at::manual_seed(6);
    bitsmith::quant::TunedValues tuned;
    tuned.v = at::randn({layout.group_rows, layout.groups, layout.width}) * 0.4;
    tuned.min_scale = at::rand({layout.group_rows, layout.groups}) * (largest_factor + 0.4) - 0.2;
    tuned.max_scale = at::rand({layout.group_rows, layout.groups}) * (largest_factor + 0.4) - 0.2;
    return tuned;
}
