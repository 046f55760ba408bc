// SPDX-License-Identifier: GPL-3.0-or-later
// Key-value pairs that describe the model: general.* and the architecture's own (formats.md 6.4).
#pragma once

#include "export/gguf/tensor_plan.h"
#include "tensor/gguf_writer.h"

namespace bitsmith::exporting {

/// For models that check_gguf_graph lets through.
void add_model_fields(
    tensor::GgufFields& fields, const ExportInput& input, const GgufFilePlan& plan);

/// llama.cpp's number for a file whose layers are mostly of this type (formats.md 6.3).
uint32_t gguf_file_type(std::string_view name);

/// "135M", "1.2B".
std::string size_label(int64_t parameters);

/// Differences that a reader must know and no key can express, one sentence each.
std::vector<std::string> model_field_notes(const ExportInput& input, const GgufFilePlan& plan);

} // namespace bitsmith::exporting
