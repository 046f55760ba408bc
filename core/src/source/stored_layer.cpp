// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/stored_layer.h"

#include "base/text.h"
#include "quant/affine.h"
#include "quant/element_grid.h"
#include "source/runtime_rounding.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bitsmith::source {

namespace {

using tensor::TensorSource;

double middle_code(const Scheme& scheme)
{
    return std::ldexp(1.0, static_cast<int>(scheme.bits) - 1);
}

/// The numbers that codes stand for, before zero points and scales.
at::Tensor elements(const Scheme& scheme, const at::Tensor& codes)
{
    if (quant::is_affine(scheme) || codes.scalar_type() != at::kByte) {
        return codes.to(at::kFloat);
    }
    return (scheme.data_type == DataType::MxInt ? quant::kFixed4 : quant::kE2M1).values(codes);
}

/// Numbers of all scale bytes, fp32 [256]. The last byte of both formats is not a number.
at::Tensor byte_numbers(DataType type)
{
    at::Tensor table = at::empty({256}, at::kFloat);
    auto number = table.accessor<float, 1>();
    if (type == DataType::NvFpE5m3) {
        table.copy_(quant::kUE5M3.table().narrow(0, 0, 256));
    } else {
        for (int byte = 0; byte < 255; ++byte) {
            number[byte] = std::ldexp(1.0F, byte - 127);
        }
    }
    number[255] = std::nanf("");
    return table;
}

/// fp32, what elements are multiplied by.
at::Tensor factors(const Scheme& scheme, const LayerScales& parts)
{
    if (parts.scales.scalar_type() == at::kByte) {
        return byte_numbers(scheme.data_type)
            .index_select(0, parts.scales.flatten().to(at::kInt))
            .view(parts.scales.sizes());
    }
    const at::Tensor factor = parts.scales.to(at::kFloat);
    return parts.super_scales.defined() ? factor / parts.super_scales : factor;
}

/// One value per group -> [rows, columns].
at::Tensor spread(const StoredLayer& layer, const LayerScales& parts, const at::Tensor& values)
{
    if (parts.group_of.defined()) {
        return values.index_select(1, parts.group_of);
    }
    const int64_t width = quant::group_width(layer.scheme, layer.columns);
    const bool is_single = layer.scheme.group_size == kGroupPerTensor;
    const int64_t rows = is_single ? layer.rows : std::min(layer.scheme.group_rows, layer.rows);
    at::Tensor wide = values.repeat_interleave(width, 1).narrow(1, 0, layer.columns);
    return rows > 1 ? wide.repeat_interleave(rows, 0).narrow(0, 0, layer.rows) : wide;
}

/// Whether fp16 holds all values.
bool fits_half(const at::Tensor& values)
{
    const at::Tensor wide = values.to(at::kFloat);
    return at::isfinite(wide).all().item<bool>()
        && at::equal(wide.to(at::kHalf).to(at::kFloat), wide);
}

bool lies_within(const at::Tensor& values, int64_t low, int64_t high)
{
    return values.min().item<int64_t>() >= low && values.max().item<int64_t>() <= high;
}

/// Whether the codec of this scheme gives these parts the same meaning.
bool fits_codec(const Scheme& scheme, const LayerScales& parts)
{
    switch (scheme.data_type) {
    case DataType::Int:
        return fits_half(parts.scales)
            && (!parts.zeros.defined()
                || lies_within(parts.zeros, 0, (int64_t{1} << scheme.bits) - 1));
    case DataType::IntFloatZero:
        return fits_half(parts.scales) && fits_half(parts.zeros);
    case DataType::MxFp:
    case DataType::MxInt:
        // The codec takes 2^-127, which is no normal number, for zero.
        return lies_within(parts.scales, 1, 254);
    case DataType::NvFp:
        return at::isfinite(parts.scales.to(at::kFloat)).all().item<bool>();
    case DataType::NvFpE5m3:
        return lies_within(parts.scales, 0, 254);
    case DataType::Fp8:
        return true;
    default:
        return false;
    }
}

bool has_consecutive_groups(const StoredLayer& layer, const LayerScales& parts)
{
    const int64_t width = quant::group_width(layer.scheme, layer.columns);
    return !parts.group_of.defined()
        || at::equal(
            parts.group_of, at::arange(layer.columns, at::kLong).div(width, "floor").to(at::kLong));
}

void check_numbers(const StoredLayer& layer, const at::Tensor& bytes)
{
    if (bytes.bitwise_and(0x7F).eq(0x7F).any().item<bool>()) {
        fail(ErrorCode::FileCorrupt, "a quantized layer has codes that are not numbers",
            {{"tensor", layer.parts.front()}, {"found", "NaN"}});
    }
}

} // namespace

std::string layer_word(const Scheme& scheme)
{
    switch (scheme.data_type) {
    case DataType::MxFp:
        return concat("MXFP", scheme.bits);
    case DataType::MxInt:
        return concat("MXINT", scheme.bits);
    case DataType::NvFp:
        return "NVFP4";
    case DataType::NvFpE5m3:
        return "NVFP4_E5M3";
    case DataType::Fp8:
        return "FP8";
    default:
        return concat("INT", scheme.bits);
    }
}

at::Tensor decode_layer(const StoredLayer& layer, const TensorSource& stored)
{
    const LayerScales parts = layer.load_scales(stored);
    at::Tensor weight = elements(layer.scheme, layer.load_codes(stored));
    const at::Tensor factor = spread(layer, parts, factors(layer.scheme, parts));
    if (layer.scheme.data_type == DataType::IntFloatZero) {
        return weight.mul_(factor).add_(spread(layer, parts, parts.zeros.to(at::kFloat)));
    }
    if (parts.zeros.defined()) {
        weight.sub_(spread(layer, parts, parts.zeros.to(at::kFloat)));
    } else if (layer.scheme.data_type == DataType::Int) {
        weight.sub_(middle_code(layer.scheme));
    }
    return weight.mul_(factor);
}

std::optional<Scheme> exact_scheme(const StoredLayer& layer, const TensorSource& stored)
{
    const LayerScales parts = layer.load_scales(stored);
    const bool has_codes = stored.find(layer.parts.front())->dtype != "F8_E5M2";
    if (!has_codes || !has_consecutive_groups(layer, parts) || !fits_codec(layer.scheme, parts)) {
        return std::nullopt;
    }
    Scheme scheme = layer.scheme;
    if (scheme.data_type == DataType::Int && parts.zeros.defined()) {
        scheme.sym = scheme.sym && parts.zeros.eq(middle_code(scheme)).all().item<bool>();
    }
    return quant::scheme_refusal(scheme).empty() ? std::optional(scheme) : std::nullopt;
}

quant::QuantizedWeight quantized_weight(
    const StoredLayer& layer, const Scheme& scheme, const TensorSource& stored)
{
    const LayerScales parts = layer.load_scales(stored);
    const at::Tensor codes = layer.load_codes(stored).contiguous();
    quant::QuantizedWeight weight;
    weight.scheme = scheme;
    weight.codes = codes.view(at::kByte);
    if (codes.scalar_type() != at::kByte) {
        check_numbers(layer, weight.codes);
    }
    weight.scales = parts.scales.contiguous();
    weight.super_scales = parts.super_scales;
    weight.input_max = largest_input(layer, stored);
    if (quant::is_affine(scheme)) {
        weight.scales = weight.scales.to(at::kHalf);
        weight.zeros = !parts.zeros.defined()
            ? at::full(weight.scales.sizes(), middle_code(scheme), at::kByte)
            : parts.zeros.contiguous().to(
                scheme.data_type == DataType::Int ? at::kByte : at::kHalf);
    } else if (scheme.data_type == DataType::Fp8) {
        weight.scales = factors(scheme, parts);
    } else if (scheme.data_type == DataType::NvFp) {
        weight.scales = weight.scales.view(at::kByte);
    }
    return weight;
}

} // namespace bitsmith::source
