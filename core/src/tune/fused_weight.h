// SPDX-License-Identifier: GPL-3.0-or-later
// A linear layer under tuning. Its product is one node of the autograd graph that hands dX on and
// keeps dŴ; rounding offset and factors never enter the graph (style.md D17).
#pragma once

#include "model/linear.h"
#include "tune/tuned_weight.h"

namespace bitsmith::tune {

/// While set on its layer, computes the output from the fake-quantized weight.
class FusedWeight final : public model::LinearHook
{
public:
    /// `linear` must outlive this. `start`: see TunedWeight.
    FusedWeight(model::Linear& linear, const Scheme& scheme, const quant::TunedValues& start = {});

    /// x [..., in] -> [..., out]. With gradients enabled the output always requires one, and its
    /// backward adds to tuned().gradient(); dX is computed only where x requires it.
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override;

    model::Linear& linear() const { return linear_; }
    TunedWeight& tuned() { return tuned_; }
    const TunedWeight& tuned() const { return tuned_; }
    /// Ŵ in the element type the layer computes in.
    at::Tensor product_weight();

private:
    model::Linear& linear_;
    TunedWeight tuned_;
    at::Tensor anchor_; // a leaf that requires a gradient, so that outputs do
};

} // namespace bitsmith::tune
