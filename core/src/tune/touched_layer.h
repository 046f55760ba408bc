// SPDX-License-Identifier: GPL-3.0-or-later
// Scales of finished layers and weights of norms while they are touched up end to end: codes stay,
// every scale and every weight gets a factor. Source: lab.md 7.6.
#pragma once

#include "quant/codec.h"

namespace bitsmith::tune {

/// Factors that begin at 1, under Adam (arXiv 1412.6980) with β = 0.9, 0.95. fp32 on the CPU.
class Factors
{
public:
    explicit Factors(at::IntArrayRef sizes);

    const at::Tensor& values() const { return values_; }
    void set_values(const at::Tensor& values) { values_.copy_(values); }
    /// Adds to the gradient with respect to the factors.
    void add_gradient(const at::Tensor& gradient) { gradient_.add_(gradient); }
    /// `time` counts steps from 1. Uses up the gradient.
    void step(double rate, int64_t time);

private:
    at::Tensor values_, gradient_, first_, second_;
};

class TouchedLayer
{
public:
    /// Starts at factors of 1. Layers with DataType::Int only.
    explicit TouchedLayer(const quant::QuantizedWeight& weight);

    /// `weight` with the scales of the present factors, rounded to fp16 as they are stored.
    quant::QuantizedWeight apply(quant::QuantizedWeight weight) const;
    /// fp16 [rows, groups].
    at::Tensor scales() const;
    /// Adds Σ_group G·Ŵ / factor; `gradient` G of the loss with respect to the decoded values Ŵ, both
    /// [rows, columns].
    void add_gradient(const at::Tensor& gradient, const at::Tensor& values);
    Factors& factors() { return factors_; }

private:
    Scheme scheme_; ///< one group per tensor as one per row, like the stored scales
    at::Tensor start_; ///< fp32 [rows, groups]
    Factors factors_; ///< [rows, groups]
};

class TouchedNorm
{
public:
    /// `weight` [features] and `offset` of a model::Norm; `stored` is the element type of the
    /// checkpoint's weight.
    TouchedNorm(const at::Tensor& weight, double offset, at::ScalarType stored);

    /// The checkpoint's weight under the present factors, in its own element type.
    at::Tensor stored() const;
    /// model::Norm::weight of that, fp32.
    at::Tensor weight() const;
    /// `gradient` of the loss with respect to weight().
    void add_gradient(const at::Tensor& gradient);
    Factors& factors() { return factors_; }

private:
    at::Tensor start_; ///< fp32 [features]
    double offset_;
    at::ScalarType type_;
    Factors factors_; ///< [features]
};

} // namespace bitsmith::tune
