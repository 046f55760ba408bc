// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/block_shared.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <limits>

namespace bitsmith::model {

BlockShared::BlockShared(
    int64_t tokens, int64_t past, const at::TensorOptions& options, const at::Tensor& padding)
    : impl_(std::make_unique<Impl>())
{
    impl_->tokens = tokens;
    impl_->past = past;
    impl_->options = options;
    if (padding.defined()) {
        impl_->padding = padding.to(options.device());
    }
}

BlockShared::~BlockShared() = default;
BlockShared::BlockShared(BlockShared&&) noexcept = default;
BlockShared& BlockShared::operator=(BlockShared&&) noexcept = default;

const RotaryTable& BlockShared::Impl::rotary(const RotarySpec& spec, int64_t head_dim)
{
    for (const auto& entry : rotary_) {
        if (entry->head_dim == head_dim && entry->spec == spec) {
            return entry->table;
        }
    }
    RotaryTable table;
    if (spec.kind != RotaryKind::None) {
        table = build_rotary_table(spec, head_dim, tokens, past, options);
    }
    rotary_.push_back(std::make_unique<RotaryEntry>(RotaryEntry{spec, head_dim, std::move(table)}));
    return rotary_.back()->table;
}

const AttentionMask& BlockShared::Impl::mask(MaskKind kind, int64_t window)
{
    return mask_entry(kind, window).mask;
}

const at::Tensor& BlockShared::Impl::additive_mask(MaskKind kind, int64_t window)
{
    MaskEntry& entry = mask_entry(kind, window);
    if (entry.mask.causal && !entry.additive.defined()) {
        entry.additive = build_mask(0);
    }
    return entry.additive;
}

BlockShared::Impl::MaskEntry& BlockShared::Impl::mask_entry(MaskKind kind, int64_t window)
{
    if (kind == MaskKind::Chunked) {
        fail(ErrorCode::UnsupportedModel, "chunked attention is not implemented",
            {{"field", "attention_chunk_size"}});
    }
    const bool hides = kind == MaskKind::Sliding && window > 0 && window < past + tokens;
    const int64_t key = hides ? window : 0;
    for (const auto& entry : masks_) {
        if (entry->window == key) {
            return *entry;
        }
    }
    MaskEntry entry{key, {}, {}};
    if (hides || padding.defined() || (past > 0 && tokens > 1)) {
        entry.additive = build_mask(key);
        entry.mask.additive = entry.additive;
    } else {
        entry.mask.causal = tokens > 1;
    }
    masks_.push_back(std::make_unique<MaskEntry>(std::move(entry)));
    return *masks_.back();
}

at::Tensor BlockShared::Impl::build_mask(int64_t window) const
{
    const auto indices = at::TensorOptions(options.device()).dtype(at::kLong);
    const at::Tensor query = at::arange(past, past + tokens, indices).unsqueeze(1);
    const at::Tensor key = at::arange(past + tokens, indices).unsqueeze(0);
    at::Tensor hidden = key > query;
    if (window > 0) {
        hidden = hidden.logical_or(query - key >= window);
    }
    if (padding.defined()) {
        hidden = hidden.logical_or(key < padding.view({-1, 1, 1, 1}));
    }
    // Finite, so that a row without any key gives numbers and not NaN.
    const double lowest = options.dtype() == at::kHalf
        ? -65504.0
        : static_cast<double>(std::numeric_limits<c10::BFloat16>::lowest());
    return at::zeros(hidden.sizes(), options).masked_fill_(hidden, lowest);
}

} // namespace bitsmith::model
