// SPDX-License-Identifier: GPL-3.0-or-later
// config.json and generation_config.json of a GGUF model, rebuilt from its metadata (formats.md
// 6.4).
#pragma once

#include "base/json_io.h"
#include "source/gguf_names.h"
#include "source/gguf_parts.h"

namespace bitsmith::source {

/// config.json as the Hugging Face checkpoint of the model would have it, in the layout with
/// `rope_theta` and `rope_scaling`. torch_dtype is float32 or float16 when all matrices are stored
/// so, otherwise bfloat16. Throws FileCorrupt for a missing or impossible key, MissingTensor
/// without an embedding, UnsupportedModel for arithmetic that config.json cannot say.
Json build_gguf_config(const GgufParts& parts, const GgufFamily& family);

/// Special token ids and sampling defaults; an empty object when the file states none.
Json build_gguf_generation_config(const tensor::GgufMetadata& metadata);

/// "gguf Q4_1": the type that most of the matrices' bytes are stored in; empty for plain types.
std::string gguf_quantization(const GgufParts& parts);

} // namespace bitsmith::source
