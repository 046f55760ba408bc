// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/compressed_tensors_source.h"

#include "source/compressed_inputs.h"
#include "source/compressed_layer.h"

namespace bitsmith::source {

std::shared_ptr<const DecodedSource> open_compressed_tensors(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    const CompressedConfig config = read_compressed_config(quantization_config);
    const CompressedInputs inputs(quantization_config);
    return std::make_shared<DecodedSource>(
        std::move(stored),
        [&](const tensor::TensorSource& tensors,
            const tensor::TensorEntry& entry) -> std::unique_ptr<const StoredLayer> {
            auto layer = find_compressed_layer(tensors, config, entry);
            if (layer != nullptr) {
                inputs.set(*layer);
            }
            return layer;
        },
        compressed_cache(quantization_config));
}

} // namespace bitsmith::source
