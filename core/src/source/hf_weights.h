// SPDX-License-Identifier: GPL-3.0-or-later
// The safetensors files of a Hugging Face folder as one source of tensors (formats.md 1.2).
#pragma once

#include "tensor/tensor_source.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bitsmith::source {

struct HfWeights
{
    std::shared_ptr<const tensor::TensorSource> tensors;
    /// Weight files in use: name and size in bytes, in the order of the entries.
    std::vector<std::pair<std::string, int64_t>> files;
    std::vector<std::string> warnings;
    /// Hash of a few bytes out of up to 64 tensors: fine-tuned weights have the headers of their
    /// original.
    std::string content_sample;
};

/// `model.safetensors`, or the shards that `model.safetensors.index.json` names. Reads headers
/// only. Throws FileNotFound (a folder that cannot be listed, no weights, all missing shards at once,
/// only pickled weights), FileCorrupt (unsafe names, links that lead outside, index and shards that
/// disagree).
HfWeights open_hf_weights(const std::filesystem::path& folder);

} // namespace bitsmith::source
