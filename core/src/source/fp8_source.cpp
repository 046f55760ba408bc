// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/fp8_source.h"

#include "source/config_fields.h"

#include <ATen/core/Tensor.h>

namespace bitsmith::source {

namespace {

Scheme inputs_of(const Scheme& weights, bool is_static)
{
    Scheme inputs;
    inputs.act_bits = 8;
    inputs.act_data_type = DataType::Fp8;
    inputs.act_dynamic = !is_static;
    inputs.act_group_size = is_static ? kGroupPerTensor
        : weights.group_rows > 1      ? weights.group_size
                                      : kGroupPerRow;
    return inputs;
}

} // namespace

CompressedConfig read_fp8_config(const Json& quantization_config)
{
    require_object(quantization_config);
    CompressedConfig config;
    config.scale_endings = {".weight_scale_inv", ".weight_scale", ".scale"};
    if (const Json& tile = member(quantization_config, "weight_block_size"); !tile.is_null()) {
        config.tiles = {tile_of(tile, "weight_block_size")};
    }
    return config;
}

std::shared_ptr<const DecodedSource> open_fp8(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    const CompressedConfig config = read_fp8_config(quantization_config);
    const bool is_static =
        text_field(quantization_config, "activation_scheme", "dynamic") == "static";
    return std::make_shared<DecodedSource>(std::move(stored),
        [&](const tensor::TensorSource& tensors,
            const tensor::TensorEntry& entry) -> std::unique_ptr<const StoredLayer> {
            auto layer = find_compressed_layer(tensors, config, entry);
            if (layer != nullptr) {
                set_inputs(*layer, inputs_of(layer->scheme, is_static));
            }
            return layer;
        });
}

} // namespace bitsmith::source
