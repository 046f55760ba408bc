// SPDX-License-Identifier: GPL-3.0-or-later
// The scales of one finished layer while they are touched up end to end: codes stay, every scale gets
// a factor. Source: lab.md 7.6.
#pragma once

#include "quant/codec.h"

namespace bitsmith::tune {

class TouchedLayer
{
public:
    /// Starts at factors of 1. Layers with DataType::Int only.
    explicit TouchedLayer(const quant::QuantizedWeight& weight);

    /// `weight` with the scales of the present factors, rounded to fp16 as they are stored.
    quant::QuantizedWeight apply(quant::QuantizedWeight weight) const;
    /// fp16 [rows, groups].
    at::Tensor scales() const;

    /// Adds Σ_group G·Ŵ / factor, the gradient of the factors; `gradient` G of the loss with respect
    /// to the decoded values Ŵ, both [rows, columns].
    void add_gradient(const at::Tensor& gradient, const at::Tensor& values);
    /// Adam (arXiv 1412.6980) with β = 0.9, 0.95; `time` counts steps from 1. Uses up the gradient.
    void step(double rate, int64_t time);

    const at::Tensor& factors() const { return factors_; }
    void set_factors(const at::Tensor& factors) { factors_.copy_(factors); }

private:
    Scheme scheme_; ///< one group per tensor as one per row, like the stored scales
    at::Tensor start_; ///< fp32 [rows, groups]
    at::Tensor factors_, gradient_, first_, second_; ///< fp32 [rows, groups]
};

} // namespace bitsmith::tune
