// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints of mlx-lm (formats.md 8). Per linear layer or embedding P, a matrix [out, in] of
// 2, 3, 4, 5, 6 or 8 bits:
//   P.weight U32 [out, in * bits / 32]   codes, one bit stream per row
//   P.scales floating point [out, in / group_size]
//   P.biases likewise
// and W = scale * code + bias.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <memory>

namespace bitsmith::source {

/// `stored` are the tensors of the files, `quantization` the object of config.json: bits,
/// group_size, and by name of a layer an object with its own or false. Throws UnsupportedFormat for
/// a mode other than affine, another width and stacked experts, FileCorrupt for tensors that do not
/// fit the configuration, MissingTensor for an incomplete layer.
std::shared_ptr<const DecodedSource> open_mlx(
    const Json& quantization, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
