// SPDX-License-Identifier: GPL-3.0-or-later
// Token-by-token generation with a key/value cache, for one prompt or many at once.
#pragma once

#include "base/context.h"
#include "eval/divergence.h"
#include "model/causal_lm.h"

#include <functional>
#include <vector>

namespace bitsmith::eval {

struct SamplingOptions
{
    int64_t max_tokens = 128;
    double temperature = 0; ///< 0: always the most likely token
    int64_t top_k = 0; ///< 0: all tokens
    double top_p = 1; ///< smallest set of the most likely tokens with this probability
    std::vector<int32_t> stop_ids; ///< end an answer; not part of it
    uint64_t stream = 0; ///< differs between calls that must not draw the same numbers
};

/// Draws one token. logits fp32 [vocab] on the CPU, finite. The order of the restrictions is
/// temperature, top_k, top_p.
int32_t draw_token(const at::Tensor& logits, const SamplingOptions& options, Random& random);

/// Holds all blocks of a model in memory: the one exception to streaming block by block, as every
/// token needs every block.
class Generator
{
public:
    /// Loads the blocks, through `blocks` where it is given; `model` must outlive the generator.
    /// Reaches a checkpoint per block.
    Generator(RunContext& context, const model::CausalLm& model, const BlockProvider& blocks = {});

    /// Called with each token as it is found; false ends the generation.
    using TokenSink = std::function<bool(int32_t)>;

    /// Continues `prompt`; returns the new tokens. Throws InvalidSpec for an empty prompt, ids
    /// beyond the vocabulary or options out of range. Reaches a checkpoint per token.
    std::vector<int32_t> generate(RunContext& context, const std::vector<int32_t>& prompt,
        const SamplingOptions& options, const TokenSink& sink = {}) const;

    /// Continues all prompts in one batch, whatever their lengths. `sink` hears of every row; false
    /// ends that row. Row i draws from the context's generator ("sampling", stream · 2^20 + i), so a
    /// row does not depend on its neighbours' draws.
    std::vector<std::vector<int32_t>> sample(RunContext& context,
        const std::vector<std::vector<int32_t>>& prompts, const SamplingOptions& options,
        const TokenSink& sink = {}) const;

private:
    struct Batch;
    at::Tensor next_logits(Batch& batch, const at::Tensor& ids) const;
    std::vector<std::vector<int32_t>> run(RunContext& context,
        const std::vector<std::vector<int32_t>>& prompts, const SamplingOptions& options,
        const TokenSink& sink) const;

    const model::CausalLm& model_;
    std::vector<std::unique_ptr<model::DecoderBlock>> blocks_;
};

} // namespace bitsmith::eval
