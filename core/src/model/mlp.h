// SPDX-License-Identifier: GPL-3.0-or-later
// Gated feed-forward part of a block, and the activations (models.md 1.11).
#pragma once

#include "model/decoder_spec.h"
#include "model/linear.h"

namespace bitsmith::model {

/// act(gate) ⊙ up, both [..., inner].
at::Tensor gated_activation(Activation act, const at::Tensor& gate, const at::Tensor& up);

/// Whether a factor on `up` is a factor on gated_activation.
bool is_linear_in_up(Activation act);

/// G1: down(act(gate(x)) ⊙ up(x)); G2: the same with the rows of gate and up in one weight.
class Mlp
{
public:
    Activation act = Activation::Silu;
    Linear gate_up; ///< first half of the rows gate, second half up; then gate and up are undefined
    Linear gate, up, down;

    /// x [..., hidden] -> same shape.
    at::Tensor forward(const at::Tensor& x) const;
};

} // namespace bitsmith::model
