// SPDX-License-Identifier: GPL-3.0-or-later
// A checkpoint as its runtime computes it: where it says so, inputs of layers and the key/value
// cache are rounded besides the weights.
#pragma once

#include "base/context.h"
#include "model/causal_lm.h"
#include "source/model_source.h"

namespace bitsmith {

/// Block `index` of `model`, which was made from `source`, with rounded inputs and cache. Throws
/// MissingTensor and FileCorrupt for their scales.
std::unique_ptr<model::DecoderBlock> load_runtime_block(
    const model::CausalLm& model, const source::ModelSource& source, int64_t index);

/// Lets the head of `model` round its inputs, where `source` says so.
void put_runtime_head(model::CausalLm& model, const source::ModelSource& source);

/// What the two cannot round, as warnings.
void warn_about_runtime(RunContext& context, const source::ModelSource& source);

} // namespace bitsmith
