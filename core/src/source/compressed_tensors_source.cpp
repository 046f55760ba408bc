// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/compressed_tensors_source.h"

#include "source/compressed_layer.h"

namespace bitsmith::source {

std::shared_ptr<const DecodedSource> open_compressed_tensors(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored)
{
    const CompressedConfig config = read_compressed_config(quantization_config);
    return std::make_shared<DecodedSource>(std::move(stored),
        [&config](const tensor::TensorSource& tensors, const tensor::TensorEntry& entry) {
            return find_compressed_layer(tensors, config, entry);
        });
}

} // namespace bitsmith::source
