// SPDX-License-Identifier: GPL-3.0-or-later
// A run of two small blocks, for tests of run folders.
#pragma once

#include "run/run_folder.h"

#include <bitsmith/check.h>

#include <ATen/ATen.h>

namespace sample_run {

inline bitsmith::ModelInfo model()
{
    bitsmith::ModelInfo info;
    info.path = "model";
    info.fingerprint = "print";
    info.blocks = 2;
    for (int64_t block = 0; block < 2; ++block) {
        info.layers.push_back({"layers." + std::to_string(block) + ".q", block, 32, 64, "F32",
            32 * 64 * 4, true, ""});
    }
    return info;
}

inline bitsmith::JobSpec spec()
{
    bitsmith::JobSpec job;
    job.model.path = "model";
    job.scheme.scheme = "W4A16G32";
    return job;
}

inline bitsmith::tune::BlockResult block(int64_t index)
{
    bitsmith::tune::FinishedLayer layer;
    layer.name = "layers." + std::to_string(index) + ".q";
    layer.weight.scheme = bitsmith::parse_scheme("W4A16G32");
    layer.weight.codes = at::arange(32 * 64).remainder(16).to(at::kByte).view({32, 64}) + index;
    layer.weight.scales = at::full({32, 2}, 0.1, at::kHalf);
    layer.weight.zeros = at::full({32, 2}, 8, at::kByte);
    layer.errors.layer = layer.name;
    layer.errors.mse = 0.1 + static_cast<double>(index);
    bitsmith::tune::BlockResult result;
    result.layers.push_back(layer);
    result.summary.block = index;
    result.summary.loss = 1.0 / 3;
    result.reference_outputs = at::full({2, 4, 8}, 0.5 + static_cast<double>(index));
    result.quantized_outputs = result.reference_outputs + 0.25;
    return result;
}

} // namespace sample_run
