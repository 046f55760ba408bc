// SPDX-License-Identifier: GPL-3.0-or-later
// Normalisation over the last dimension (models.md 1.2).
#pragma once

#include "model/decoder_spec.h"

#include <ATen/core/Tensor.h>

namespace bitsmith::model {

/// RMS norms N1 (cast, then scale), N2 (scale, then cast) and N3 (1 + weight).
class Norm
{
public:
    Norm() = default;
    /// weight [features] in the element type the model runs in; `stored`: that of the checkpoint.
    Norm(const NormSpec& spec, at::Tensor weight, at::ScalarType stored = at::kFloat);

    bool defined() const { return weight_.defined(); }
    /// x [..., features] -> same shape and type. The mean of squares is taken in fp32.
    at::Tensor forward(const at::Tensor& x) const;

    /// What the normed input is multiplied by; a factor on it is a factor on the output.
    at::Tensor& weight() { return weight_; }
    /// What the checkpoint's weight lacks to be that: 1 for norms of 1 + weight, otherwise 0.
    double offset() const { return spec_.kind == NormKind::RmsOnePlus ? 1 : 0; }
    /// What a checkpoint would hold for `weight` [features], which means what weight() means:
    /// without the offset, in numbers that both the model and the checkpoint have.
    at::Tensor to_stored(const at::Tensor& weight) const;
    /// Takes the weight of a checkpoint [features] in place of the present one.
    void put_stored(const at::Tensor& stored);
    /// Element type of the checkpoint's weight.
    at::ScalarType stored_type() const { return stored_; }

private:
    NormSpec spec_;
    at::Tensor weight_; ///< N1: model's type; N2 and N3: fp32, with 1 added for N3
    at::ScalarType stored_ = at::kFloat;
};

} // namespace bitsmith::model
