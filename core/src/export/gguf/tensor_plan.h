// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors a GGUF file holds, in which order and type, and where each comes from: a pure
// function of model and plan. The table of names is the reader's (source/gguf_names.h). The
// embedding and the head, which are no layers of the plan, get llama.cpp's types (formats.md 6.8).
#pragma once

#include "export/exporter.h"
#include "source/gguf_names.h"
#include "tensor/gguf_writer.h"

#include <string>
#include <vector>

namespace bitsmith::exporting {

struct GgufTensorPlan
{
    tensor::GgufTensorHeader header;
    std::string source; ///< name in the model; empty for a tensor that is computed from the config
    std::string layer; ///< planned layer whose codes are written; empty for plain values
    int64_t rotary_heads = 0; ///< > 0: rows change to interleaved pairs of this many heads
    bool plus_one = false; ///< stored as 1 + weight
};

struct GgufFilePlan
{
    const source::GgufFamily* family = nullptr;
    tensor::GgufType base = tensor::GgufType::F16; ///< of most layers
    std::string type_name; ///< of the file: the GGUF type asked for ("Q4_K_M"), or the base type
    std::vector<GgufTensorPlan> tensors;
    std::vector<std::string> skipped; ///< tensors of the model that GGUF has no place for
    std::vector<std::string> narrowed; ///< fp32 matrices that are written in 16 bits

    std::vector<tensor::GgufTensorHeader> headers() const;
};

/// Null for a model_type that GGUF files are not written for.
const source::GgufFamily* writable_gguf_family(std::string_view model_type);

/// Throws UnsupportedModel for a tensor without a place in the format, and for arithmetic that
/// llama.cpp fixes otherwise (attention scale, pattern of windows); ShapeMismatch for layers that
/// do not fill whole blocks.
GgufFilePlan gguf_file_plan(const ExportInput& input);

/// Values of one tensor as stored bytes (uint8).
at::Tensor gguf_tensor_bytes(const ExportInput& input, const GgufTensorPlan& tensor);

} // namespace bitsmith::exporting
