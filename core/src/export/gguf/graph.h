// SPDX-License-Identifier: GPL-3.0-or-later
// What llama.cpp computes for an architecture whatever the file says, and refusals of models
// that differ from it. Source: ggml-org/llama.cpp: src/models.
#pragma once

#include "model/decoder_spec.h"

#include <string_view>

namespace bitsmith::exporting {

enum class GgufBiases
{
    None,
    Allowed,
    Required
};

struct GgufGraph
{
    std::string_view arch;
    model::Activation act;
    GgufBiases attention_biases;
    bool has_head; ///< of its own beside the embedding
    /// Every n-th block attends to everything, the others to a window; 0: all to everything.
    int64_t window_period;
    bool local_rotary; ///< blocks with a window have a rotary base of their own, without scaling
    /// Block count of the size whose attention scale follows from hidden / heads; 0: none.
    int64_t large_blocks;
    model::RotaryKind rotary_tensors; ///< scaling that is read from tensors; Default: none
};

/// Throws Internal for an architecture without a row.
const GgufGraph& gguf_graph(std::string_view arch);

/// Throws UnsupportedModel when the graph computes something else than the model and no key can say
/// so: biases, attention scale, activation, windows, rotary scaling, experts, a head of its own.
void check_gguf_graph(const model::DecoderSpec& spec, std::string_view arch);

/// Of the blocks without a window, which most keys are about; of the first block when all have one.
const model::AttentionSpec& full_attention(const model::DecoderSpec& spec);
/// Null when no block has a window.
const model::AttentionSpec* windowed_attention(const model::DecoderSpec& spec);

} // namespace bitsmith::exporting
