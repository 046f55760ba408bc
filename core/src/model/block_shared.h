// SPDX-License-Identifier: GPL-3.0-or-later
// What BlockShared keeps: one rotary table and one mask per variant that the blocks ask for.
#pragma once

#include "model/decoder_block.h"
#include "model/rope.h"

namespace bitsmith::model {

/// How the keys of a query are restricted. Both undefined: every query sees every key.
struct AttentionMask
{
    bool causal = false; ///< query t sees keys 0..t and there are no past tokens
    /// 0, or the lowest finite value of the type: [tokens, past + tokens], with padding
    /// [batch, 1, tokens, past + tokens].
    at::Tensor additive;
};

/// Used from one thread at a time.
struct BlockShared::Impl
{
    int64_t tokens = 0;
    int64_t past = 0;
    at::TensorOptions options;
    at::Tensor padding; ///< on the options' device; undefined: none

    /// Table for heads of `head_dim` components; undefined when `spec` has no rotary embedding.
    const RotaryTable& rotary(const RotarySpec& spec, int64_t head_dim);
    /// Masks M1 and M2 (models.md 1.6). A window that hides nothing gives the causal mask.
    const AttentionMask& mask(MaskKind kind, int64_t window);
    /// The same mask as a tensor, also when it is plain causal; undefined when nothing is hidden.
    const at::Tensor& additive_mask(MaskKind kind, int64_t window);

private:
    struct RotaryEntry
    {
        RotarySpec spec;
        int64_t head_dim;
        RotaryTable table;
    };
    struct MaskEntry
    {
        int64_t window; ///< 0: causal
        AttentionMask mask;
        at::Tensor additive;
    };
    MaskEntry& mask_entry(MaskKind kind, int64_t window);
    at::Tensor build_mask(int64_t window) const;

    std::vector<std::unique_ptr<RotaryEntry>> rotary_;
    std::vector<std::unique_ptr<MaskEntry>> masks_;
};

} // namespace bitsmith::model
