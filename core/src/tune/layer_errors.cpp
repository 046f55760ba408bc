// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/layer_errors.h"

#include "quant/affine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace bitsmith::tune {

namespace {

/// Rows are taken in slices of about this many elements, to bound what is held in fp64.
constexpr int64_t kSliceElements = int64_t{1} << 20;

double product_sum(const at::Tensor& a, const at::Tensor& b)
{
    return at::dot(a.reshape({-1}), b.reshape({-1})).item<double>();
}

double square_sum(const at::Tensor& x)
{
    return product_sum(x, x);
}

} // namespace

double decibels(double signal, double noise)
{
    if (noise <= 0) {
        return kMaxDecibels;
    }
    if (signal <= 0) {
        return -kMaxDecibels;
    }
    return std::clamp(10.0 * std::log10(signal / noise), -kMaxDecibels, kMaxDecibels);
}

int64_t groups_below_scales(const at::Tensor& original, const quant::QuantizedWeight& codes)
{
    constexpr double kNoise = 1e-6; // of the squares of a layer
    const at::NoGradGuard no_grad;
    if (!quant::is_affine(codes.scheme)) {
        return 0;
    }
    const at::Tensor smallest =
        codes.scales.to(original.device(), at::kFloat).abs() <= quant::kScaleThreshold;
    if (!smallest.any().item<bool>()) {
        return 0;
    }
    const quant::GroupLayout layout(codes.scheme, codes.rows(), codes.columns());
    const at::Tensor squares =
        layout.per_row(layout.split(original.to(at::kFloat)).square().sum(2));
    const at::Tensor lost = smallest.reshape(squares.sizes()).logical_and(squares > 0);
    const double share = (squares * lost).sum().item<double>();
    return share > kNoise * squares.sum().item<double>() ? lost.sum().item<int64_t>() : 0;
}

void measure_weight(const at::Tensor& original, const at::Tensor& quantized, LayerFinished& errors)
{
    const at::NoGradGuard no_grad;
    const int64_t rows = original.size(0);
    const int64_t step = std::max<int64_t>(1, kSliceElements / original.size(1));
    double noise = 0, signal = 0, product = 0, size = 0;
    for (int64_t first = 0; first < rows; first += step) {
        const int64_t count = std::min(step, rows - first);
        const at::Tensor w = original.narrow(0, first, count).to(at::kDouble);
        const at::Tensor q = quantized.narrow(0, first, count).to(w.device(), at::kDouble);
        noise += square_sum(w - q);
        signal += square_sum(w);
        product += product_sum(w, q);
        size += square_sum(q);
    }
    errors.mse = noise / static_cast<double>(original.numel());
    // Two zero weights point in the same direction as far as anyone can tell.
    const double lengths = std::sqrt(signal) * std::sqrt(size);
    errors.cosine = lengths > 0 ? product / lengths : (noise > 0 ? 0.0 : 1.0);
    errors.sqnr_db = decibels(signal, noise);
}

at::Tensor OutputErrorHook::forward(const model::Linear& linear, const at::Tensor& x)
{
    const at::Tensor y = linear.product(x, linear.weight);
    const at::Tensor inputs = x.flatten(0, -2);
    const int64_t count = std::min(kTokens - tokens_, inputs.size(0));
    if (count > 0) {
        const at::NoGradGuard no_grad;
        const at::Tensor missing = original_.to(linear.weight) - linear.weight;
        const at::Tensor rows = inputs.narrow(0, 0, count);
        at::Tensor error = at::mm(rows, missing.t()).to(at::kFloat);
        if (linear.input_transform) {
            error += at::mm(rows - linear.transformed(rows), linear.weight.t()).to(at::kFloat);
        }
        const at::Tensor output = y.flatten(0, -2).narrow(0, 0, count).to(at::kFloat);
        noise_ += square_sum(error);
        signal_ += square_sum(output + error);
        elements_ += static_cast<double>(error.numel());
        tokens_ += count;
    }
    return y;
}

void OutputErrorHook::report(LayerFinished& errors) const
{
    if (elements_ > 0) {
        errors.out_mse = noise_ / elements_;
        errors.out_sqnr_db = decibels(signal_, noise_);
    }
}

} // namespace bitsmith::tune
