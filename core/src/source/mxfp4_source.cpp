// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/mxfp4_source.h"

#include "source/layer_parts.h"

#include <ATen/core/Tensor.h>

namespace bitsmith::source {

namespace {

constexpr int64_t kBlockBytes = 16;

std::unique_ptr<const StoredLayer> check_blocks(
    const tensor::TensorSource& stored, const tensor::TensorEntry& entry)
{
    if (const std::string name = layer_of(entry.name, "_blocks"); !name.empty()) {
        if (entry.dtype != "U8" || entry.shape.size() != 4 || entry.shape[3] != kBlockBytes) {
            misfit(entry, "U8 [experts, rows, columns / 32, 16]");
        }
        require(
            part(stored, name + "_scales"), "U8", {entry.shape[0], entry.shape[1], entry.shape[2]});
    }
    return nullptr;
}

} // namespace

std::shared_ptr<const DecodedSource> open_mxfp4(
    const Json& /*quantization_config*/, std::shared_ptr<const tensor::TensorSource> stored)
{
    return std::make_shared<DecodedSource>(std::move(stored), check_blocks);
}

} // namespace bitsmith::source
