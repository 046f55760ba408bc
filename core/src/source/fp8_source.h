// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints with native FP8 weights (formats.md 7, 2.8). Per layer P, a matrix [out, in]:
//   P.weight           F8_E4M3, F8_E5M2 or the same bytes as U8 [out, in]
//   P.weight_scale_inv [ceil(out / r), ceil(in / c)] for tiles [r, c]; it multiplies, too
//   P.weight_scale     [], [1], [out] or [out, 1]
//   P.scale            as weight_scale_inv, powers of two
// of which one scale is present: floating point, or E8M0 (U8, F8_E8M0). Calibrated inputs have
//   P.input_scale      [], [1]
#pragma once

#include "base/json_io.h"
#include "source/compressed_layer.h"

#include <memory>

namespace bitsmith::source {

/// What `weight_block_size` of the object of config.json says, 128 x 128 when it is absent.
CompressedConfig read_fp8_config(const Json& quantization_config);

/// `stored` are the tensors of the files, `quantization_config` the object of config.json. What a
/// layer is follows from its tensors; runtimes round its input to E4M3, by `activation_scheme` with
/// the scale that the file has, or with scales per token, or per group as wide as the tiles. Throws
/// FileCorrupt for tensors that do not fit each other, MissingTensor for FP8 weights without
/// scales.
std::shared_ptr<const DecodedSource> open_fp8(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
