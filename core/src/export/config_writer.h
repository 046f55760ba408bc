// SPDX-License-Identifier: GPL-3.0-or-later
// What stands beside the weights of an exported Hugging Face folder: config.json and side files.
// Source: formats.md 1.3, 1.4.
#pragma once

#include "base/json_io.h"
#include "export/exporter.h"

#include <c10/core/ScalarType.h>

#include <string>

namespace bitsmith::exporting {

/// Element type for tensors that the source stores in a form safetensors cannot: the config's
/// torch_dtype (or dtype), bf16 where it names none.
c10::ScalarType float_type(const source::ModelSource& model);

/// config.json as it is, with `quantization` (unless null), with torch_dtype, and untied when
/// `untie`.
Json exported_config(const source::ModelSource& model, const Json& quantization, bool untie);

/// Names `dtype` ("float16") wherever `config` or the one of its decoder names an element type; newer
/// versions of transformers write `dtype`, older ones `torch_dtype`.
void set_element_type(Json& config, std::string_view dtype);

/// Copies side files byte for byte, except those that the export writes itself. Throws FileCorrupt
/// for a name that leaves the folder.
void write_side_files(
    FileSystem& fs, const source::ModelSource& model, const std::filesystem::path& folder);

/// Name of the model without folders and endings: "SmolLM2-135M-Instruct"; of a download that of
/// its repository.
std::string model_name(const source::ModelSource& model);

/// Bytes of a text file at once, flushed.
void write_text(FileSystem& fs, const std::filesystem::path& file, std::string_view text);

} // namespace bitsmith::exporting
