// SPDX-License-Identifier: GPL-3.0-or-later
// Scales and minima of finished layers and weights of norms while they are touched up end to end:
// codes stay, every number that the codec calls tunable and every weight gets a factor. Source:
// lab.md 7.6.
#pragma once

#include "quant/codec.h"

namespace bitsmith::tune {

/// Factors that begin at 1, under Adam (arXiv 1412.6980) with β = 0.9, 0.95. fp32 on the CPU.
class Factors
{
public:
    /// `spacing`: largest distance between neighbours of the numbers that are stored, relative to
    /// them; 0 where steps need not heed it.
    explicit Factors(at::IntArrayRef sizes, double spacing = 0);

    double spacing() const { return spacing_; }
    const at::Tensor& values() const { return values_; }
    void set_values(const at::Tensor& values) { values_.copy_(values); }
    /// Adds to the gradient with respect to the factors.
    void add_gradient(const at::Tensor& gradient) { gradient_.add_(gradient); }
    /// `time` counts steps from 1. Uses up the gradient.
    void step(double rate, int64_t time);

private:
    double spacing_;
    at::Tensor values_, gradient_, first_, second_;
};

/// One part of a layer under its factors.
class TouchedPart
{
public:
    TouchedPart(const quant::TunablePart& part, const quant::QuantizedWeight& weight);

    const quant::TunablePart& part() const { return part_; }
    /// Numbers of the present factors, rounded to what they are stored as, and in that form.
    at::Tensor stored() const;
    Factors& factors() { return factors_; }

private:
    quant::TunablePart part_;
    at::ScalarType type_;
    at::Tensor start_; ///< fp32, shape of the part
    Factors factors_; ///< same shape
};

class TouchedLayer
{
public:
    /// Starts at factors of 1. Schemes with tunable parts only.
    explicit TouchedLayer(const quant::QuantizedWeight& weight);

    /// `weight` with the parts of the present factors.
    quant::QuantizedWeight apply(quant::QuantizedWeight weight) const;
    /// Adds Σ G·C / factor, over the elements that a factor reaches and the term C of Ŵ that it
    /// multiplies; `gradient` G of the loss with respect to the decoded values Ŵ, both [rows,
    /// columns].
    void add_gradient(const at::Tensor& gradient, const at::Tensor& values);
    std::vector<TouchedPart>& parts() { return parts_; }
    const std::vector<TouchedPart>& parts() const { return parts_; }

private:
    quant::QuantizedWeight frame_; ///< of the start; its codes are nothing but a shape
    std::vector<TouchedPart> parts_;
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
