// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints of AutoAWQ (formats.md 4). Layouts: source/packed_layer.h.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <memory>

namespace bitsmith::source {

/// `stored` are the tensors of the files, `quantization_config` the object of config.json, in the
/// spelling of Hugging Face (bits, group_size) or AutoAWQ (w_bit, q_group_size). Throws
/// UnsupportedFormat for a version other than gemm and for other widths than 4, FileCorrupt for
/// tensors that do not fit the configuration, MissingTensor for an incomplete layer.
std::shared_ptr<const DecodedSource> open_awq(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
