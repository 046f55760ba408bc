// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/affine_codec.h"

#include "quant/affine.h"
#include "quant/range_search.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitsmith::quant {

std::string AffineCodec::refusal(const Scheme& scheme) const
{
    if (scheme.data_type == DataType::IntFloatZero && scheme.sym) {
        return "codes with a minimum per group are not symmetric";
    }
    return affine_refusal(scheme);
}

at::Tensor AffineCodec::fake_quantize(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_fake_quantize(weight, scheme, tuned);
}

QuantizedWeight AffineCodec::encode(
    const at::Tensor& weight, const Scheme& scheme, const TunedValues& tuned) const
{
    return affine_encode(weight, scheme, tuned);
}

GroupRange AffineCodec::search(const at::Tensor& weight, const Scheme& scheme,
    const at::Tensor& importance, const at::Tensor&) const
{
    return search_range(weight, scheme, importance);
}

at::Tensor AffineCodec::decode(const QuantizedWeight& weight) const
{
    return affine_decode(weight);
}

CodeGrid AffineCodec::code_grid(const QuantizedWeight& frame) const
{
    const at::Tensor second = frame.zeros.to(at::kFloat);
    CodeGrid grid;
    grid.scale = frame.scales.to(at::kFloat);
    (affine_kind(frame.scheme) == Affine::FloatMinimum ? grid.minimum : grid.zero) = second;
    grid.last = std::ldexp(1.0, static_cast<int>(frame.scheme.bits)) - 1;
    return grid;
}

std::vector<TunablePart> AffineCodec::tunable_parts(const Scheme& scheme) const
{
    std::vector<TunablePart> parts = {{{"scales", &QuantizedWeight::scales}}};
    if (affine_kind(scheme) == Affine::FloatMinimum) {
        parts.push_back({{"zeros", &QuantizedWeight::zeros}, true});
    }
    return parts;
}

} // namespace bitsmith::quant
