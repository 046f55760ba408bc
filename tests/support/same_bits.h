// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/ATen.h>

/// Compares representations of fp32 tensors, so that -0 differs from 0.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b)
{
    return a.sizes() == b.sizes() && a.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat
        && at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt));
}
