// SPDX-License-Identifier: GPL-3.0-or-later
// How far a quantized layer is from the original: in its weights and in its outputs.
#pragma once

#include "model/linear.h"
#include "quant/codec.h"

#include <bitsmith/event.h>

#include <ATen/core/Tensor.h>

namespace bitsmith::tune {

/// Largest signal-to-noise ratio reported, also for exact copies.
inline constexpr double kMaxDecibels = 200.0;
/// 10 log10(signal / noise) of two sums of squares, within ± kMaxDecibels.
double decibels(double signal, double noise);

/// Fills mse, cosine and sqnr_db of `errors` from two weights [out, in].
void measure_weight(const at::Tensor& original, const at::Tensor& quantized, LayerFinished& errors);

/// Groups of an integer scheme whose weights are too small for its fp16 scales, so that most of them
/// became 0; 0 when all of these together carry less than the rounding noise of 8 bits.
int64_t groups_below_scales(const at::Tensor& original, const quant::QuantizedWeight& codes);

/// While set on a layer that already holds its quantized weight: computes its output as usual and
/// compares it with the original weight's on the same input, for the first kTokens tokens it sees.
class OutputErrorHook final : public model::LinearHook
{
public:
    static constexpr int64_t kTokens = 512;

    /// `original` [out, in] as before quantization.
    explicit OutputErrorHook(at::Tensor original)
        : original_(std::move(original))
    { }
    at::Tensor forward(const model::Linear& linear, const at::Tensor& x) override;

    /// Fills out_mse and out_sqnr_db unless no token was seen. The signal is the original output.
    void report(LayerFinished& errors) const;

private:
    at::Tensor original_;
    int64_t tokens_ = 0;
    double elements_ = 0, signal_ = 0, noise_ = 0;
};

} // namespace bitsmith::tune
