// SPDX-License-Identifier: GPL-3.0-or-later
// Opens whatever the user names as a model: a Hugging Face folder, a GGUF file, a quantized export
// of ours. Whatever it was, it looks like a Hugging Face model afterwards.
#pragma once

#include "base/json_io.h"
#include "hf/text_side.h"
#include "model/decoder_spec.h"
#include "source/coded_layers.h"
#include "source/runtime_rounding.h"
#include "source/side_file.h"
#include "tensor/tensor_source.h"

#include <bitsmith/model_info.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitsmith::source {

struct ModelSource
{
    std::string path; ///< resolved
    std::string kind; ///< "folder" or "gguf"
    Json config; ///< config.json as it is, or as rebuilt from the GGUF's metadata; without
        ///< quantization_config
    model::DecoderSpec spec;
    std::string family;
    std::shared_ptr<const tensor::TensorSource>
        tensors; ///< Hugging Face names; quantized weights decoded as "P.weight"
    std::shared_ptr<const CodedLayers> coded; ///< codes of quantized layers; null: there are none
    std::vector<SideFile> side_files;
    ModelInfo info;
    /// What runtimes round besides the weights; null: nothing.
    std::shared_ptr<const RuntimeRounding> runtime;

    /// Tokenizer and chat template; throws FileNotFound naming the files looked for.
    hf::TextSide load_text() const;
};

/// The folder or file that `name` stands for: itself when it exists, otherwise the snapshot of a Hub
/// id, which is fetched where it is absent. Throws FileNotFound, and what hf::fetch_snapshot throws.
std::filesystem::path resolve_model_path(const std::string& name);

/// Reads headers and small files only. Throws FileNotFound, FileCorrupt, UnsupportedModel,
/// MissingTensor, ShapeMismatch.
std::shared_ptr<const ModelSource> open_model(const std::string& path);

} // namespace bitsmith::source
