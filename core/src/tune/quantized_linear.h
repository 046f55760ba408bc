// SPDX-License-Identifier: GPL-3.0-or-later
// A layer as the exported model computes it: decoded weight, and rounded inputs where the scheme asks.
#pragma once

#include "model/linear.h"
#include "quant/codec.h"

namespace bitsmith::tune {

/// Gives `linear` the transform of its inputs that `scheme` asks for, none for schemes that leave
/// activations alone. `input_max`: see quant::fake_quantize_activations.
void set_activations(model::Linear& linear, const Scheme& scheme, const at::Tensor& input_max);

/// Replaces the weight by the decoded one, in the layer's own element type and device, and sets its
/// activations.
void put_quantized(model::Linear& linear, const quant::QuantizedWeight& weight);

/// While set on its layer: computes the output as usual and keeps the largest magnitude of its inputs.
class InputMaxHook final : public model::LinearHook
{
public:
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override;
    /// fp32 [1]; undefined when no token was seen.
    const at::Tensor& largest() const { return largest_; }

private:
    at::Tensor largest_;
};

} // namespace bitsmith::tune
