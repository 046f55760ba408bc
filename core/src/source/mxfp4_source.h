// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the original checkpoints of gpt-oss (formats.md 10.2): experts of all matrices stacked,
//   X_blocks U8 [experts, rows, columns / 32, 16]   two E2M1 codes per byte, the first lower
//   X_scales U8 [experts, rows, columns / 32]       E8M0
// The model itself decodes them expert by expert (model/expert_storage.h), so the tensors pass
// through.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <memory>

namespace bitsmith::source {

/// Throws FileCorrupt for blocks and scales that do not fit each other, MissingTensor for blocks
/// without scales.
std::shared_ptr<const DecodedSource> open_mxfp4(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
