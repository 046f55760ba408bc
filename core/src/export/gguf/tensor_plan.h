// SPDX-License-Identifier: GPL-3.0-or-later
// Which tensors a GGUF file holds, in which order and type, and where each comes from: a pure
// function of model and plan. The table of names is the reader's (source/gguf_names.h). The
// embedding and the head, which are no layers of the plan, get llama.cpp's types (formats.md 6.8).
#pragma once

#include "export/expert_stack.h"
#include "export/exporter.h"
#include "source/gguf_names.h"
#include "tensor/gguf_writer.h"

#include <optional>
#include <string>
#include <vector>

namespace bitsmith::exporting {

struct GgufTensorPlan
{
    tensor::GgufTensorHeader header;
    std::string source; ///< name in the model; empty for stacks and what the config gives
    /// Planned layers whose codes are written: one, or all experts of a stack; none for plain
    /// values.
    std::vector<std::string> layers;
    int64_t rotary_heads = 0; ///< > 0: rows change to interleaved pairs of this many heads
    bool plus_one = false; ///< stored as 1 + weight
    /// Of which these are the weights or, with is_bias, the biases.
    std::optional<ExpertStack> stack;
    bool is_bias = false;
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

/// Throws UnsupportedModel for a tensor without a place in the format, and for arithmetic that
/// llama.cpp fixes otherwise (export/gguf/graph.h); UnsupportedScheme for experts of several
/// schemes; ShapeMismatch for layers that do not fill whole blocks.
GgufFilePlan gguf_file_plan(const ExportInput& input);

/// Values of one tensor as stored bytes (uint8).
at::Tensor gguf_tensor_bytes(const ExportInput& input, const GgufTensorPlan& tensor);

} // namespace bitsmith::exporting
