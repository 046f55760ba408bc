// SPDX-License-Identifier: GPL-3.0-or-later
// A Hugging Face model folder as it lies on disk: config, weights and side files, before anybody
// asks what model it is.
#pragma once

#include "base/json_io.h"
#include "source/hf_weights.h"
#include "source/side_file.h"

namespace bitsmith::source {

struct HfFolder
{
    Json config; ///< config.json, an object
    HfWeights weights;
    std::vector<SideFile> side_files;
    std::string fingerprint; ///< of config, tensor headers, a sample of the weights and file sizes
    std::vector<std::string> warnings; ///< those of the weights included
};

/// Reads headers and small files only. Throws FileNotFound naming what was looked for, FileCorrupt.
HfFolder open_hf_folder(const std::filesystem::path& folder);

/// Hex digest of names, shapes, types and sizes of `tensors` plus `more`.
std::string fingerprint_of(
    const tensor::TensorSource& tensors, const std::vector<std::string>& more);

} // namespace bitsmith::source
