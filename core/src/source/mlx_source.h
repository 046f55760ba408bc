// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints of mlx-lm (formats.md 8). Per linear layer or embedding P, a matrix [out, in]:
//   P.weight U32 [out, in * bits / 32]   codes, one bit stream per row
//   P.scales [out, in / group_size]
// and in the mode
//   affine        2, 3, 4, 5, 6 or 8 bits, floating point scales, P.biases likewise,
//                 W = scale * code + bias
//   mxfp4, mxfp8  E2M1, E4M3, U8 scales per 32 columns, W = 2^(scale - 127) * number
// Experts: source/mlx_experts.h.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <memory>

namespace bitsmith::source {

/// Numbers of a packed module by the object `quantization` of config.json: the common ones, or its own,
/// which mlx fills with its defaults, whatever the common ones are. Throws UnsupportedFormat for another
/// mode or width, FileCorrupt for a module that is left alone.
Scheme mlx_scheme(const Json& quantization, const std::string& module);

/// `stored` are the tensors of the files, `quantization` the object of config.json: bits,
/// group_size, mode, and by name of a module an object with its own or false. Throws
/// UnsupportedFormat for another mode or width and stacks that are no known experts, FileCorrupt for
/// tensors that do not fit the configuration or each other, MissingTensor for an incomplete layer.
std::shared_ptr<const DecodedSource> open_mlx(
    const Json& quantization, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
