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
    /// weight [features] in the element type the model runs in.
    Norm(const NormSpec& spec, at::Tensor weight);

    bool defined() const { return weight_.defined(); }
    /// x [..., features] -> same shape and type. The mean of squares is taken in fp32.
    at::Tensor forward(const at::Tensor& x) const;

    /// What the normed input is multiplied by; a factor on it is a factor on the output.
    at::Tensor& weight() { return weight_; }
    /// What the checkpoint's weight lacks to be that: 1 for norms of 1 + weight, otherwise 0.
    double offset() const { return spec_.kind == NormKind::RmsOnePlus ? 1 : 0; }

private:
    NormSpec spec_;
    at::Tensor weight_; ///< N1: model's type; N2 and N3: fp32, with 1 added for N3
};

} // namespace bitsmith::model
