// SPDX-License-Identifier: GPL-3.0-or-later
// Reads checkpoints of AutoGPTQ and GPTQModel (formats.md 3). Layouts: source/packed_layer.h.
#pragma once

#include "base/json_io.h"
#include "source/decoded_source.h"

#include <memory>

namespace bitsmith::source {

/// `stored` are the tensors of the files, `quantization_config` the object of config.json. Widths
/// and group sizes may differ per layer (`dynamic`: match at the start of the name, first match
/// wins); columns may stand in any order (g_idx). `checkpoint_format` gptq, the default, stores
/// zero points minus one, gptq_v2 as they are. Throws UnsupportedFormat for another format, width
/// or a pattern that is not understood, FileCorrupt for tensors that do not fit the configuration,
/// MissingTensor for an incomplete layer.
std::shared_ptr<const DecodedSource> open_gptq(
    const Json& quantization_config, std::shared_ptr<const tensor::TensorSource> stored);

} // namespace bitsmith::source
