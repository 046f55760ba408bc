// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/element_grid.h"
#include "source/compressed_layer.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitsmith::source {

namespace {

using tensor::TensorSource;

/// Powers of two by E8M0 byte.
at::Tensor powers_of_two()
{
    at::Tensor table = at::empty({256}, at::kFloat);
    auto number = table.accessor<float, 1>();
    for (int byte = 0; byte < 255; ++byte) {
        number[byte] = std::ldexp(1.0F, byte - 127);
    }
    number[255] = std::nanf("");
    return table;
}

/// Two E2M1 codes per byte, the first in the low half -> fp32 [rows, 2 * bytes].
at::Tensor unpack_fp4(const at::Tensor& bytes)
{
    return quant::kE2M1.values(
        at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, -1).flatten(1));
}

/// The numbers that scales multiply, before zero points.
at::Tensor elements(const TensorSource& stored, const CompressedLayer& layer)
{
    switch (layer.kind) {
    case CompressedKind::PackedInt:
        return tensor::unpack_bits(stored.load(layer.name + ".weight_packed"), layer.bits)
            .narrow(1, 0, layer.columns)
            .to(at::kFloat);
    case CompressedKind::MxFp4:
    case CompressedKind::NvFp4:
        return unpack_fp4(stored.load(layer.name + ".weight_packed"));
    default:
        return stored.load(layer.name + ".weight").to(at::kFloat);
    }
}

at::Tensor factors(const TensorSource& stored, const CompressedLayer& layer)
{
    const at::Tensor scale = stored.load(layer.name + ".weight_scale");
    if (layer.kind == CompressedKind::MxFp4 || layer.kind == CompressedKind::MxFp8) {
        return powers_of_two().index_select(0, scale.flatten().to(at::kInt)).view(scale.sizes());
    }
    const at::Tensor factor = scale.to(at::kFloat);
    return layer.kind == CompressedKind::NvFp4
        ? factor / stored.load(layer.name + ".weight_global_scale")
        : factor;
}

at::Tensor zero_points(const TensorSource& stored, const CompressedLayer& layer)
{
    const std::string name = layer.name + ".weight_zero_point";
    if (layer.kind == CompressedKind::Int) {
        return stored.load(name).to(at::kFloat);
    }
    return tensor::unpack_bits(stored.load(name).t().contiguous(), layer.bits)
        .narrow(1, 0, layer.rows)
        .t()
        .to(at::kFloat);
}

/// One value per tile -> [rows, columns].
at::Tensor spread(const CompressedLayer& layer, const at::Tensor& values)
{
    const int64_t rows = (layer.rows + layer.tile_rows - 1) / layer.tile_rows;
    at::Tensor wide = values.reshape({rows, -1}).repeat_interleave(layer.tile_columns, 1);
    if (layer.tile_rows > 1) {
        wide = wide.repeat_interleave(layer.tile_rows, 0).narrow(0, 0, layer.rows);
    }
    return wide.narrow(1, 0, layer.columns);
}

} // namespace

at::Tensor decode_compressed_layer(const TensorSource& stored, const CompressedLayer& layer)
{
    at::Tensor weight = elements(stored, layer);
    if (layer.has_zeros) {
        const at::Tensor zeros = zero_points(stored, layer);
        weight = weight - spread(layer, zeros);
    } else if (layer.kind == CompressedKind::PackedInt) {
        weight = weight - static_cast<double>(int64_t{1} << (layer.bits - 1));
    }
    return weight.mul_(spread(layer, factors(stored, layer)));
}

} // namespace bitsmith::source
