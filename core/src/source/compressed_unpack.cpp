// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/compressed_unpack.h"

#include "source/layer_parts.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

namespace bitsmith::source {

namespace {

constexpr int64_t kSignedOffset = 128; ///< of integers stored one per byte

/// Two codes per byte, the first in the low half -> [rows, 2 * bytes].
at::Tensor unpack_halves(const at::Tensor& bytes)
{
    return at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, -1).flatten(1);
}

at::Tensor unsigned_codes(const at::Tensor& values)
{
    return values.to(at::kShort).add_(kSignedOffset);
}

} // namespace

at::Tensor CompressedLayer::load_codes(const tensor::TensorSource& stored) const
{
    const at::Tensor codes = stored.load(parts.front());
    if (scheme.data_type == DataType::Int) {
        return is_packed
            ? tensor::unpack_bits(codes, scheme.bits).narrow(1, 0, columns).contiguous()
            : unsigned_codes(codes).to(at::kByte);
    }
    if (is_packed) {
        return unpack_halves(codes);
    }
    // Some writers call the bytes of E4M3 what they are.
    return codes.scalar_type() == at::kByte ? codes.view(at::kFloat8_e4m3fn) : codes;
}

LayerScales CompressedLayer::load_scales(const tensor::TensorSource& stored) const
{
    LayerScales result;
    const at::Tensor values = stored.load(scale);
    result.scales =
        per_group(values.scalar_type() == at::kFloat8_e8m0fnu ? values.view(at::kByte) : values);
    if (scheme.data_type == DataType::NvFp) {
        result.super_scales = stored.load(name + ".weight_global_scale");
    }
    if (has_zeros) {
        result.zeros = load_zeros(stored);
    }
    return result;
}

at::Tensor CompressedLayer::per_group(const at::Tensor& values) const
{
    const bool is_single = values.numel() == 1 && scheme.group_size != kGroupPerTensor;
    if (is_single) {
        return values.reshape({1, 1}).expand({rows, 1});
    }
    const int64_t group_rows =
        scheme.group_size == kGroupPerTensor ? 1 : divide_up(rows, scheme.group_rows);
    return values.reshape({group_rows, -1});
}

at::Tensor CompressedLayer::load_zeros(const tensor::TensorSource& stored) const
{
    const at::Tensor values = stored.load(name + ".weight_zero_point");
    if (!is_packed) {
        return per_group(unsigned_codes(values));
    }
    return tensor::unpack_bits(values.t().contiguous(), scheme.bits)
        .narrow(1, 0, rows)
        .t()
        .to(at::kShort);
}

} // namespace bitsmith::source
