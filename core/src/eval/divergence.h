// SPDX-License-Identifier: GPL-3.0-or-later
// Perplexity, KL divergence and top-1 agreement of a model against a reference, streamed block by
// block so that two models never lie in memory.
#pragma once

#include "base/context.h"
#include "model/causal_lm.h"

#include <bitsmith/report.h>

namespace bitsmith::eval {

/// Gives block i of the model to be measured (for example with tuned weights put in).
using BlockProvider = std::function<std::unique_ptr<model::DecoderBlock>(int64_t)>;

/// ids [windows, tokens] -> hidden after the last block [windows, tokens, hidden], on the CPU.
at::Tensor run_blocks(RunContext& context, const model::CausalLm& model, const at::Tensor& ids,
    const BlockProvider& blocks);

/// `reference_hidden` may be undefined: perplexity only. Every position but the last of a window
/// predicts the next token.
EvalReport compare(RunContext& context, const model::CausalLm& model, const at::Tensor& hidden,
    const model::CausalLm* reference, const at::Tensor& reference_hidden, const at::Tensor& ids);

/// UTF-8 file -> windows [n, seqlen] with BOS where the tokenizer adds one; or .safetensors with
/// input_ids.
at::Tensor evaluation_windows(
    const std::string& file, const hf::TextSide* text, int64_t tokens, int64_t seqlen);

} // namespace bitsmith::eval
