// SPDX-License-Identifier: GPL-3.0-or-later
// Ranges of groups chosen by trial: the one whose codes are closest to the weights, each weight
// counted by how much its input channel carries. Tuning starts from there, and without steps it is
// the better plain rounding. Source: lab.md 7.2; algorithm.md 6.1 (the reference's opt_rtn, without
// the refit).
#pragma once

#include "quant/group_layout.h"

#include <bitsmith/scheme.h>

#include <ATen/core/Tensor.h>

namespace bitsmith::quant {

/// Importances with the mean 1 and none of them zero (lab.md 7.2), fp32 [columns] on the CPU; all 1
/// where `given` is undefined or all zero.
at::Tensor normalized_importance(const at::Tensor& given, int64_t columns);

/// Smallest Σ h (Ŵ - W)² of each group over a grid of ranges, scales rounded to fp16 as they are
/// stored and refitted by least squares to the codes of each trial; the group's own range is one of
/// the trials, so the error never grows. `weight` [rows, columns] of any floating point type,
/// `importance` h [columns] >= 0 (undefined: all equal). fp32 [group_rows, groups] on the
/// weight's device.
/// Affine schemes only. Uses all of LibTorch's threads.
GroupRange search_range(
    const at::Tensor& weight, const Scheme& scheme, const at::Tensor& importance);

} // namespace bitsmith::quant
