// SPDX-License-Identifier: GPL-3.0-or-later
// Opens a GGUF file, or a split one, as if it were a Hugging Face folder.
#pragma once

#include "source/model_source.h"

#include <filesystem>
#include <memory>

namespace bitsmith::source {

/// Does `path` name a GGUF file, by its ending or its first bytes?
bool is_gguf_file(const std::filesystem::path& path);

/// Sets kind, config, tensors, side_files, info.fingerprint, info.quantization and info.warnings;
/// the caller completes the rest (complete_model.h). Reads headers and the vocabulary only. A
/// tokenizer of an unknown kind becomes a warning: the weights can be worked on without text.
/// Throws FileNotFound, FileCorrupt, UnsupportedModel, UnsupportedFormat, MissingTensor,
/// ShapeMismatch.
std::shared_ptr<ModelSource> open_gguf(const std::filesystem::path& path);

} // namespace bitsmith::source
