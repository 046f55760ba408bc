// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints of auto-round, whose `packing_format` names one of several layouts
// (formats.md 2):
//   auto_round, auto_round:gptqmodel             integers in GPTQ's order, zero points as they are;
//                                                with the data type mx_int MXINT4 (2.7)
//   auto_round:auto_gptq, absent                 integers in GPTQ's order, zero points minus one
//   auto_round:auto_awq                          integers in AWQ's order
//   auto_round:llm_compressor, ..._nvfp4_e5m3    MX and NV numbers as in compressed-tensors
//   auto_round:fp8_static, auto_round:fp8        FP8; also where absent with a floating point type
//   mlx, auto_round:mlx                          that of mlx-lm
// Layouts: source/packed_layer.h, compressed_tensors_source.h, fp8_source.h, mlx_source.h.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <memory>

namespace bitsmith::source {

/// `stored` are the tensors of the files, `quantization_config` the object of config.json. Widths
/// and group sizes of integers may differ per layer (`extra_config`: exact names first, then
/// patterns anywhere in the name, in order). Throws UnsupportedFormat for another method, packing
/// or data type, FileCorrupt for rules that are no objects and tensors that do not fit the
/// configuration, MissingTensor for an incomplete layer.
std::shared_ptr<const DecodedSource> open_auto_round(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
