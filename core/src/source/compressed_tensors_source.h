// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints of the format compressed-tensors (llm-compressor, Bitsmith's `llm_compressor`).
//
// Per layer P with a weight [out, in], G = groups of a row (formats.md 5.3 - 5.8):
//   packed integers  P.weight_packed     I32 [out, ceil(in * bits / 32)], code + 2^(bits-1)
//                    P.weight_shape      I64 [2]
//                    P.weight_scale      floating point [out, G]
//                    P.weight_zero_point I32 [ceil(out * bits / 32), G], when asymmetric
//   integers         P.weight I8 [out, in], P.weight_scale, P.weight_zero_point I8 like the scales
//   FP8              P.weight F8_E4M3 [out, in], P.weight_scale [1], [out, 1] or one per tile
//   MXFP8            P.weight F8_E4M3 [out, in], P.weight_scale U8 [out, in / 32]
//   MXFP4            P.weight_packed U8 [out, in / 2], P.weight_scale U8 [out, in / 32]
//   NVFP4            P.weight_packed U8 [out, in / 2], P.weight_scale F8_E4M3 [out, in / 16],
//                    P.weight_global_scale F32 [1], a divisor
//   inputs           P.input_scale F32 [1] of FP8, P.input_global_scale F32 [1] of NVFP4, a
//                    divisor
//   cache            A.k_scale, A.v_scale [1], A the attention module
// Seen from outside there is one tensor P.weight [out, in], fp32; all other tensors pass through,
// except scales of activations, which runtime() holds.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <memory>

namespace bitsmith::source {

/// `stored` are the tensors of the files, `quantization_config` the object of config.json. What a
/// layer is follows from its tensors; the configuration only says which widths and tiles occur, the
/// first that fits is taken, and how inputs are rounded. Loads P.weight_shape of every packed
/// layer, otherwise headers only. Throws UnsupportedFormat for another method, packing or width,
/// FileCorrupt for tensors that do not fit each other, MissingTensor for an incomplete layer.
std::shared_ptr<const DecodedSource> open_compressed_tensors(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
