// SPDX-License-Identifier: GPL-3.0-or-later
// Values of the tensors of a compressed-tensors folder.
#include "export/compressed_tensors_config.h"
#include "export/compressed_tensors_layout.h"
#include "quant/cache_numbers.h"
#include "quant/nv_codec.h"
#include "tensor/bit_pack.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace {

constexpr int64_t kWordBits = 32;

/// Rows of codes as 32-bit words; the last word is filled up with zeros.
at::Tensor pack_rows(const at::Tensor& codes, int64_t bits)
{
    const int64_t per_word = kWordBits / bits;
    const int64_t missing = (per_word - codes.size(1) % per_word) % per_word;
    return tensor::pack_bits(missing == 0 ? codes : at::constant_pad_nd(codes, {0, missing}), bits);
}

/// Unsigned code -> two's complement.
at::Tensor signed_bytes(const at::Tensor& codes, int64_t bits)
{
    return codes.to(at::kShort).sub(int64_t{1} << (bits - 1)).to(at::kChar);
}

/// Two codes per byte, the first in the low half.
at::Tensor pack_pairs(const at::Tensor& codes)
{
    const at::Tensor pairs = codes.reshape({codes.size(0), codes.size(1) / 2, 2});
    return pairs.select(2, 0).bitwise_or(pairs.select(2, 1).bitwise_left_shift(4)).contiguous();
}

at::Tensor cache_scale_of(const quant::QuantizedStore& store, const CompressedTensor& tensor)
{
    const quant::CacheMaxima maxima = store.cache(std::stoll(tensor.source));
    if (!maxima.defined()) {
        fail(ErrorCode::MissingTensor, "the largest keys and values of a block are not known",
            {{"tensor", tensor.name}}, "Quantize again with calibration samples.");
    }
    return quant::cache_scale(
        tensor.part == CompressedPart::KeyScale ? maxima.keys : maxima.values);
}

at::Tensor scale_of(const quant::QuantizedWeight& weight, const CompressedTensor& tensor)
{
    const at::Tensor scales = weight.scales.reshape(tensor.shape).contiguous();
    return tensor.type == at::kFloat8_e4m3fn ? scales.view(at::kFloat8_e4m3fn) : scales;
}

} // namespace

at::Tensor compressed_codes(const quant::QuantizedWeight& weight)
{
    const Scheme& scheme = weight.scheme;
    if (scheme.data_type == DataType::Int) {
        return compressed_format(scheme) == CompressedFormat::Int
            ? signed_bytes(weight.codes, scheme.bits)
            : pack_rows(weight.codes, scheme.bits);
    }
    return scheme.bits == 4 ? pack_pairs(weight.codes)
                            : weight.codes.contiguous().view(at::kFloat8_e4m3fn);
}

at::Tensor compressed_zeros(const quant::QuantizedWeight& weight)
{
    const at::Tensor zeros = weight.zeros.reshape({weight.rows(), -1});
    return compressed_format(weight.scheme) == CompressedFormat::Int
        ? signed_bytes(zeros, weight.scheme.bits)
        : pack_rows(zeros.t().contiguous(), weight.scheme.bits).t().contiguous();
}

at::Tensor CompressedPacker::produce(const CompressedTensor& tensor)
{
    if (tensor.part == CompressedPart::Copy) {
        return input_.model.tensors->load(tensor.source).to(tensor.type);
    }
    if (tensor.part == CompressedPart::KeyScale || tensor.part == CompressedPart::ValueScale) {
        return cache_scale_of(input_.layers, tensor);
    }
    const quant::QuantizedWeight& weight = weights_.load(tensor.source);
    switch (tensor.part) {
    case CompressedPart::Codes:
        return compressed_codes(weight);
    case CompressedPart::Scale:
        return scale_of(weight, tensor);
    case CompressedPart::Zeros:
        return compressed_zeros(weight);
    case CompressedPart::Shape:
        return at::tensor({weight.rows(), weight.columns()}, at::kLong);
    case CompressedPart::GlobalScale:
        return weight.super_scales.to(at::kFloat).reshape({1});
    case CompressedPart::InputScale:
        return input_scale(weight, tensor.source);
    case CompressedPart::InputGlobalScale:
        return quant::NvCodec::tensor_divisor(largest_input(weight, tensor.source));
    case CompressedPart::Copy:
    case CompressedPart::KeyScale:
    case CompressedPart::ValueScale:
        break;
    }
    fail(ErrorCode::Internal, "unknown part of a layout");
}

} // namespace bitsmith::exporting
