// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/causal_lm.h"

#include "model/spec_check.h"
#include "model/weight_loader.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

CausalLm::CausalLm(DecoderSpec spec, std::shared_ptr<const tensor::TensorSource> tensors,
    at::TensorOptions options)
    : spec_(std::move(spec))
    , tensors_(std::move(tensors))
    , options_(options)
{
    check_spec(spec_);
    resolve_from_tensors(spec_, *tensors_);
    check_tensors(spec_, *tensors_);
}

at::Tensor CausalLm::embed(const at::Tensor& ids, int64_t) const
{
    if (!embedding_.defined()) {
        // Kept as stored: only the rows in use are converted and brought to the device.
        embedding_ = tensors_->load(spec_.model_names.embedding + ".weight");
    }
    const at::Tensor flat = ids.to(at::kCPU).to(at::kLong).flatten();
    if (flat.numel() > 0) {
        const auto lowest = flat.min().item<int64_t>(), highest = flat.max().item<int64_t>();
        if (lowest < 0 || highest >= embedding_.size(0)) {
            fail(ErrorCode::InvalidSpec, "a token id lies outside the model's vocabulary",
                {{"found", std::to_string(lowest < 0 ? lowest : highest)},
                    {"allowed", "0.." + std::to_string(embedding_.size(0) - 1)}},
                "check that the tokenizer belongs to this model");
        }
    }
    std::vector<int64_t> shape = ids.sizes().vec();
    shape.push_back(spec_.hidden);
    at::Tensor hidden = embedding_.index_select(0, flat).to(options_).view(shape);
    if (spec_.embedding_scale == 1) {
        return hidden;
    }
    if (spec_.round_embedding_scale) {
        return hidden * at::scalar_tensor(spec_.embedding_scale, options_);
    }
    return hidden * spec_.embedding_scale;
}

std::unique_ptr<DecoderBlock> CausalLm::load_block(int64_t index) const
{
    return model::load_block(spec_, index, *tensors_, options_);
}

BlockShared CausalLm::shared(int64_t tokens, int64_t past, const at::Tensor& padding) const
{
    return BlockShared(tokens, past, options_, padding);
}

Norm& CausalLm::final_norm_module() const
{
    if (!norm_.defined()) {
        norm_ = WeightLoader(*tensors_, options_)
                    .norm({spec_.model_names.final_norm, spec_.final_norm, spec_.hidden});
    }
    return norm_;
}

at::Tensor CausalLm::final_norm(const at::Tensor& hidden) const
{
    return final_norm_module().forward(hidden);
}

at::Tensor CausalLm::head(const at::Tensor& normed) const
{
    if (!head_.defined()) {
        head_ = load_head();
    }
    // A table may have padding rows behind the vocabulary; they are never predicted.
    at::Tensor logits = head_.forward(normed).narrow(-1, 0, spec_.vocab).to(at::kFloat);
    if (spec_.logits_scale != 1) {
        logits = logits * spec_.logits_scale;
    }
    if (spec_.logits_softcap > 0) {
        logits = (logits / spec_.logits_softcap).tanh() * spec_.logits_softcap;
    }
    return logits;
}

Linear CausalLm::load_head() const
{
    at::Tensor bias;
    if (spec_.head_bias) {
        bias = tensors_->load(head_name() + ".bias").to(options_);
    }
    return {head_name(), tensors_->load(head_name() + ".weight").to(options_).contiguous(), bias};
}

void CausalLm::replace_head(Linear head)
{
    head_ = std::move(head);
}

std::string CausalLm::head_name() const
{
    return spec_.is_tied ? spec_.model_names.embedding : spec_.model_names.head;
}

} // namespace bitsmith::model
