// SPDX-License-Identifier: GPL-3.0-or-later
// Perplexity, KL divergence and top-1 agreement of a model against a reference, streamed block by block so that
// two models never lie in memory.
#pragma once

#include "base/context.h"
#include "hf/text_side.h"
#include "model/causal_lm.h"

#include <bitsmith/report.h>

#include <functional>

namespace bitsmith::eval {

/// Gives block i of the model to be measured (for example with tuned weights put in).
using BlockProvider = std::function<std::unique_ptr<model::DecoderBlock>(int64_t)>;

/// ids int64 [windows, tokens] -> hidden after the last block [windows, tokens, hidden], on the CPU.
/// Emits StageProgress in blocks from `done` of `total`, so that two runs can share one bar.
at::Tensor run_blocks(RunContext& context, const model::CausalLm& model, const at::Tensor& ids,
    const BlockProvider& blocks, int64_t done, int64_t total, Stage stage = Stage::Evaluate);

/// Hidden states of one model and the head that turns them into logits.
struct Measured
{
    const model::CausalLm* model = nullptr;
    at::Tensor hidden; ///< [windows, tokens, hidden]
};

/// Every position but the last of a window predicts the next token. `reference.model` may be null: perplexity only.
/// KL in nats per token, direction reference || candidate.
EvalReport compare(RunContext& context, const Measured& candidate, const Measured& reference,
    const at::Tensor& ids);

/// Where evaluation tokens come from.
struct EvalText
{
    std::string file; ///< UTF-8 text, or .safetensors with input_ids
    int64_t tokens = 8192;
    int64_t seqlen = 512;
};

/// Windows [n, seqlen], each beginning with BOS where the model has one; text is used in file order. `text` may be
/// null for .safetensors. Throws InvalidSpec when the text is shorter than one window.
at::Tensor evaluation_windows(const EvalText& source, const hf::TextSide* text);

} // namespace bitsmith::eval
