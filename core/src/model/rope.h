// SPDX-License-Identifier: GPL-3.0-or-later
// Rotary position embedding: frequencies of every scaling kind, and the rotation (models.md 1.8,
// 1.9).
#pragma once

#include "model/decoder_spec.h"

#include <ATen/core/Tensor.h>

namespace bitsmith::model {

/// Number of head components that turn; even.
int64_t rotary_dim(const RotarySpec& spec, int64_t head_dim);

/// How far yarn and longrope stretch the length of the original model.
double length_ratio(const RotarySpec& spec);

/// Attention factor of YaRN for a stretch of `ratio` (arXiv 2309.00071 eq. 22; `mscale` is
/// DeepSeek's extension).
double yarn_mscale(double ratio, double mscale = 1);

struct RotaryFrequencies
{
    at::Tensor inverse; ///< fp32 [rotary_dim / 2], radians per position
    double factor = 1; ///< cos and sin are multiplied by it
};

/// `length`: tokens of the sample that runs (past ones included); decides between the short and the
/// long factors of longrope and the base of dynamic. Throws UnsupportedModel for a kind that is not
/// implemented.
RotaryFrequencies rotary_frequencies(const RotarySpec& spec, int64_t head_dim, int64_t length);

/// cos and sin [tokens, rotary_dim], each half the same, in the model's element type.
struct RotaryTable
{
    at::Tensor cos, sin;
    bool defined() const { return cos.defined(); }
};
RotaryTable build_rotary_table(const RotarySpec& spec, int64_t head_dim, int64_t tokens,
    int64_t past, const at::TensorOptions& options);

/// x [batch, heads, tokens, head_dim]: turns the pairs (t, t + rotary_dim / 2) of every head.
at::Tensor apply_rotary(const at::Tensor& x, const RotaryTable& table);

} // namespace bitsmith::model
