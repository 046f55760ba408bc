// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints whose linear layers are packed in auto_round's integer layouts.
//
// Per layer P (formats.md 2.3, 2.4), bits 2, 3, 4 or 8, G = groups of a row:
//   P.qweight I32 [in / 32 * bits, out]   codes, packed along the input
//   P.qzeros  I32 [G, out / 32 * bits]    zero points, minus one in `auto_round:auto_gptq`
//   P.scales  F16 [G, out]
// Seen from outside there is one tensor P.weight [out, in] = scale * (code - zero), fp32. All other
// tensors pass through.
#pragma once

#include "base/json_io.h"
#include "tensor/tensor_source.h"

#include <memory>

namespace bitsmith::source {

/// `stored` are the tensors of the files, `quantization_config` the object of config.json. Widths
/// and group sizes may differ per layer (`extra_config`, exact names). Throws UnsupportedFormat for
/// another method, packing or data type, FileCorrupt for tensors that do not fit the configuration,
/// MissingTensor for an incomplete layer. Unpacks one layer per load.
std::shared_ptr<const tensor::TensorSource> open_auto_round(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
