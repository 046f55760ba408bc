// SPDX-License-Identifier: GPL-3.0-or-later
// Integers and super-scales of K types chosen together, by the weights that they give.
#pragma once

#include "quant/group_layout.h"

#include <bitsmith/scheme.h>

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// Ranges as if every group of a K type had an fp16 scale and minimum of its own, the smallest error
/// each (search_range); minima above zero, which cannot be stored, become zero.
GroupRange search_separate(
    const at::Tensor& weight, const Scheme& scheme, const at::Tensor& importance);

/// The ranges `found` of groups moved to numbers that DoubleCodec can hold: d·L and dmin·M, such that
/// the codec gets back just these. Per super-block: super-scales from the largest numbers over
/// n + k, |k| <= 0.4, then twice by least squares of codes and integers; under each of them the
/// integers L and M of a group next to its own numbers, ±1, that have the smallest Σ h (Ŵ - W)². Numbers
/// rounded one by one are among the trials, so the error never grows.
/// Shapes and devices as of search_range; `scheme` of DataType::IntDouble. Source: algorithm.md 5.3
/// for the trials of super-scales; integers by the error of weights are ours.
GroupRange search_supers(const GroupRange& found, const at::Tensor& weight, const Scheme& scheme,
    const at::Tensor& importance);

} // namespace bitsmith::quant
