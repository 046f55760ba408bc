// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/nv_codec.h"

#include "quant/rounding.h"

#include <ATen/ATen.h>

namespace bitsmith::quant {

namespace {

constexpr double kLargestElement = 6.0;
constexpr double kLargestScale = 448.0;

} // namespace

std::string NvCodec::refusal(const Scheme& scheme) const
{
    if (scheme.bits != 4 || !scheme.sym) {
        return "NVFP4 has 4 bits and is symmetric";
    }
    if (scheme.group_rows != 1
        || (scheme.group_size != 16 && (has_tensor_scale_ || scheme.group_size != 32))) {
        return has_tensor_scale_ ? "NVFP4 has a scale per 16 columns"
                                 : "NVFP4_E5M3 has a scale per 16 or 32 columns";
    }
    return {};
}

const ElementGrid& NvCodec::grid(const Scheme&) const
{
    return kE2M1;
}

at::Tensor NvCodec::tensor_divisor(const at::Tensor& largest)
{
    return at::where(largest > 0, kLargestScale * kLargestElement / largest, 1.0).to(at::kFloat);
}

GridScales NvCodec::scales(
    const at::Tensor& largest, const Scheme&, const at::Tensor& tensor_max, bool wants_stored) const
{
    at::Tensor ratio = largest / kLargestElement;
    at::Tensor divisor;
    if (has_tensor_scale_) {
        divisor = tensor_divisor(tensor_max);
        ratio = ratio * divisor;
    }
    const at::Tensor rounded = scale_grid().round(ratio.detach(), {}, false);
    GridScales result;
    result.factor = pass_gradient(rounded, ratio);
    if (divisor.defined()) {
        result.factor = result.factor / divisor;
    }
    if (wants_stored) {
        result.stored = scale_grid().codes(rounded);
    }
    return result;
}

at::Tensor NvCodec::factors(const QuantizedWeight& weight) const
{
    const at::Tensor rounded = scale_grid().values(weight.scales);
    return has_tensor_scale_ ? rounded / weight.super_scales.to(rounded.device()) : rounded;
}

const std::vector<double>& NvCodec::trials() const
{
    static const std::vector<double> trials = [] {
        std::vector<double> values = {1.0};
        // E4M3 has eight numbers per power of two; finer steps find the same ones again.
        for (int percent = 52; percent <= 152; percent += 4) {
            values.push_back(percent / 100.0);
        }
        return values;
    }();
    return trials;
}

std::vector<TunablePart> NvCodec::tunable_parts(const Scheme&) const
{
    return {{{"scales", &QuantizedWeight::scales}, false, &scale_grid()}};
}

} // namespace bitsmith::quant
