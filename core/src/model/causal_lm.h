// SPDX-License-Identifier: GPL-3.0-or-later
// A whole language model of which only the parts in use are in memory.
#pragma once

#include "model/decoder_block.h"
#include "model/norm.h"

namespace bitsmith::model {

/// Embedding, blocks on demand, final norm and head.
class CausalLm
{
public:
    /// Checks that the decoder can run `spec` (throws UnsupportedModel) and that every expected
    /// tensor is present with its shape (throws MissingTensor, ShapeMismatch); settles what only
    /// the files can tell (resolve_from_tensors of model/spec_check.h); loads nothing.
    CausalLm(DecoderSpec spec, std::shared_ptr<const tensor::TensorSource> tensors,
        at::TensorOptions options);

    const DecoderSpec& spec() const { return spec_; }
    const tensor::TensorSource& tensors() const { return *tensors_; }
    const at::TensorOptions& options() const { return options_; }
    int64_t n_blocks() const { return static_cast<int64_t>(spec_.blocks.size()); }

    /// ids int64 [batch, tokens] -> hidden [batch, tokens, hidden], scaled and with positions as
    /// the family wants it. `past`: position of the first token. Throws InvalidSpec for ids beyond
    /// the embedding.
    at::Tensor embed(const at::Tensor& ids, int64_t past = 0) const;
    /// Frees the embedding until it is used next.
    void release_embedding() const { embedding_.reset(); }
    std::unique_ptr<DecoderBlock> load_block(int64_t index) const;
    /// `padding`: see BlockShared.
    BlockShared shared(int64_t tokens, int64_t past = 0, const at::Tensor& padding = {}) const;

    /// hidden [..., hidden] after the last block -> normed hidden that the head multiplies.
    at::Tensor final_norm(const at::Tensor& hidden) const;
    /// The final norm itself; its name without ".weight" stands in the spec.
    Norm& final_norm_module() const;
    /// hidden after final_norm -> logits [..., vocab], scaled and capped, fp32.
    at::Tensor head(const at::Tensor& normed) const;
    at::Tensor logits(const at::Tensor& hidden) const { return head(final_norm(hidden)); }
    /// The head as stored, padding rows included: what a quantizer works on.
    Linear load_head() const;
    /// Takes `head`, made from that of load_head, in place of the stored one.
    void replace_head(Linear head);
    /// Checkpoint name of the head's weight without ".weight"; the embedding's when tied.
    std::string head_name() const;

private:
    DecoderSpec spec_;
    std::shared_ptr<const tensor::TensorSource> tensors_;
    at::TensorOptions options_;
    // Loaded on first use, on one thread.
    mutable at::Tensor embedding_;
    mutable Linear head_;
    mutable Norm norm_;
};

} // namespace bitsmith::model
