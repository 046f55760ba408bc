// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/expert_storage.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

namespace {

constexpr int64_t kMxBlock = 32;

/// weight [rows, columns] of one expert's matrix, in [out, in] order.
class StackedMatrix
{
public:
    StackedMatrix(const WeightLoader& loader, const std::string& name, Experts storage,
        std::vector<int64_t> shape /* [experts, rows, columns] */, bool has_bias)
        : loader_(loader)
        , transposed_(
              storage == Experts::StackedTransposed || storage == Experts::StackedInterleaved)
    {
        const int64_t experts = shape[0], rows = shape[1], columns = shape[2];
        if (storage == Experts::Mxfp4Interleaved) {
            weight_ = loader.stored(name + "_blocks", {experts, rows, columns / kMxBlock, 16});
            scales_ = loader.stored(name + "_scales", {experts, rows, columns / kMxBlock});
        } else if (transposed_) {
            weight_ = loader.stored(name, {experts, columns, rows});
        } else {
            weight_ = loader.stored(name, shape);
        }
        if (has_bias) {
            bias_ = loader.stored(name + "_bias", {experts, rows});
        }
    }

    /// Rows begin, begin + step, ... (`count` of them) of expert `e`.
    Linear rows(
        const std::string& name, int64_t e, int64_t begin, int64_t step, int64_t count) const
    {
        const auto pick = [&](const at::Tensor& t) {
            return t.slice(0, begin, begin + step * (count - 1) + 1, step);
        };
        at::Tensor weight;
        if (scales_.defined()) {
            weight = decode_mxfp4(
                pick(weight_.select(0, e)), pick(scales_.select(0, e)), loader_.options());
        } else {
            const at::Tensor matrix = weight_.select(0, e);
            weight = loader_.own(pick(transposed_ ? matrix.t() : matrix));
        }
        return Linear(
            name, weight, bias_.defined() ? loader_.own(pick(bias_.select(0, e))) : at::Tensor());
    }

private:
    const WeightLoader& loader_;
    bool transposed_;
    at::Tensor weight_, scales_, bias_;
};

std::vector<Mlp> load_stacked(const WeightLoader& loader, const MoeSpec& moe, Activation act,
    const MoeLayout& layout, int64_t hidden)
{
    const int64_t inner = moe.expert_dim;
    const StackedMatrix gate_up(
        loader, layout.gate_up, moe.storage, {moe.n_experts, 2 * inner, hidden}, moe.expert_bias);
    const StackedMatrix down(
        loader, layout.down, moe.storage, {moe.n_experts, hidden, inner}, moe.expert_bias);
    const bool interleaved =
        moe.storage == Experts::StackedInterleaved || moe.storage == Experts::Mxfp4Interleaved;
    const int64_t step = interleaved ? 2 : 1;
    std::vector<Mlp> experts;
    for (int64_t e = 0; e < moe.n_experts; ++e) {
        const MlpLayout& names = layout.experts[static_cast<std::size_t>(e)];
        Mlp mlp;
        mlp.act = act;
        mlp.gate = gate_up.rows(names.gate->name, e, 0, step, inner);
        mlp.up = gate_up.rows(names.up->name, e, interleaved ? 1 : inner, step, inner);
        mlp.down = down.rows(names.down.name, e, 0, 1, hidden);
        experts.push_back(std::move(mlp));
    }
    return experts;
}

Experts stacked_storage(const MoeSpec& moe, const tensor::TensorEntry& entry, int64_t hidden)
{
    const std::vector<int64_t> straight{moe.n_experts, 2 * moe.expert_dim, hidden};
    const std::vector<int64_t> transposed{moe.n_experts, hidden, 2 * moe.expert_dim};
    if (entry.shape != straight && entry.shape != transposed) {
        fail(ErrorCode::ShapeMismatch, "the shape of a tensor contradicts config.json",
            {{"tensor", entry.name}, {"found", shape_text(entry.shape)},
                {"allowed", shape_text(straight) + " or " + shape_text(transposed)}});
    }
    if (moe.storage == Experts::StackedInterleaved) {
        return moe.storage;
    }
    if (straight == transposed) {
        // The shape cannot tell; the family's own stacked storage holds, [out, in] where it has none.
        return moe.storage == Experts::PerExpert ? Experts::Stacked : moe.storage;
    }
    return entry.shape == transposed ? Experts::StackedTransposed : Experts::Stacked;
}

} // namespace

std::vector<ExpectedTensor> stacked_tensors(
    const MoeSpec& moe, const MoeLayout& layout, int64_t hidden)
{
    std::vector<ExpectedTensor> tensors;
    const auto add = [&](const std::string& name, int64_t rows, int64_t columns) {
        switch (moe.storage) {
        case Experts::PerExpert:
            BITSMITH_ASSERT(false);
        case Experts::Stacked:
            tensors.push_back({name, {moe.n_experts, rows, columns}});
            break;
        case Experts::StackedTransposed:
        case Experts::StackedInterleaved:
            tensors.push_back({name, {moe.n_experts, columns, rows}});
            break;
        case Experts::Mxfp4Interleaved:
            tensors.push_back(
                {name + "_blocks", {moe.n_experts, rows, columns / kMxBlock, kMxBlock / 2}});
            tensors.push_back({name + "_scales", {moe.n_experts, rows, columns / kMxBlock}});
            break;
        }
        if (moe.expert_bias) {
            tensors.push_back({name + "_bias", {moe.n_experts, rows}});
        }
    };
    add(layout.gate_up, 2 * moe.expert_dim, hidden);
    add(layout.down, hidden, moe.expert_dim);
    return tensors;
}

std::vector<Mlp> load_experts(const WeightLoader& loader, const MoeSpec& moe, Activation act,
    const MoeLayout& layout, int64_t hidden)
{
    if (moe.storage != Experts::PerExpert) {
        return load_stacked(loader, moe, act, layout, hidden);
    }
    std::vector<Mlp> experts;
    for (const MlpLayout& slots : layout.experts) {
        Mlp mlp;
        mlp.act = act;
        mlp.gate = loader.linear(*slots.gate);
        mlp.up = loader.linear(*slots.up);
        mlp.down = loader.linear(slots.down);
        experts.push_back(std::move(mlp));
    }
    return experts;
}

void resolve_expert_storage(DecoderSpec& spec, const tensor::TensorSource& tensors)
{
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        if (!spec.blocks[i].moe) {
            continue;
        }
        MoeSpec& moe = *spec.blocks[i].moe;
        const MoeLayout layout = *block_layout(spec, static_cast<int64_t>(i)).moe;
        const tensor::TensorEntry* stacked = tensors.find(layout.gate_up);
        if (tensors.find(layout.experts.front().gate->name + ".weight")) {
            moe.storage = Experts::PerExpert;
        } else if (tensors.find(layout.gate_up + "_blocks")) {
            moe.storage = Experts::Mxfp4Interleaved;
        } else if (stacked) {
            moe.storage = stacked_storage(moe, *stacked, spec.hidden);
        }
    }
}

at::Tensor decode_mxfp4(
    const at::Tensor& blocks, const at::Tensor& scales, const at::TensorOptions& options)
{
    static const float kValues[16] = {
        0, .5F, 1, 1.5F, 2, 3, 4, 6, -0.F, -.5F, -1, -1.5F, -2, -3, -4, -6};
    const at::Tensor table = at::tensor(at::ArrayRef<float>(kValues, 16), at::kFloat);
    const at::Tensor bytes = blocks.to(at::kInt);
    const at::Tensor codes =
        at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, -1).flatten(-2);
    const at::Tensor values = table.index_select(0, codes.flatten()).view(codes.sizes());
    const at::Tensor exponents = scales.to(at::kInt) - 127;
    return at::ldexp(values, exponents.unsqueeze(-1)).flatten(-2).to(options);
}

} // namespace bitsmith::model
