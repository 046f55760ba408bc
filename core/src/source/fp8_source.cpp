// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/fp8_source.h"

#include "source/compressed_layer.h"
#include "source/config_fields.h"

#include <ATen/core/Tensor.h>

namespace bitsmith::source {

std::shared_ptr<const DecodedSource> open_fp8(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    require_object(quantization_config);
    CompressedConfig config;
    config.scale_endings = {".weight_scale_inv", ".weight_scale", ".scale"};
    if (const Json& tile = member(quantization_config, "weight_block_size"); !tile.is_null()) {
        config.tiles = {tile_of(tile, "weight_block_size")};
    }
    return std::make_shared<DecodedSource>(std::move(stored),
        [&config](const tensor::TensorSource& tensors, const tensor::TensorEntry& entry) {
            return find_compressed_layer(tensors, config, entry);
        });
}

} // namespace bitsmith::source
