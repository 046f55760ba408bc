// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/expert_storage.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

namespace {

constexpr int64_t kMxBlock = 32;

bool is_interleaved(Experts storage)
{
    return storage == Experts::StackedInterleaved || storage == Experts::Mxfp4Interleaved;
}

/// Which rows of a stacked matrix, in [out, in] order, are those of an expert's matrix.
struct StackedRows
{
    int64_t begin = 0, step = 1, count = 0;

    at::Tensor of(const at::Tensor& t, int64_t dim) const
    {
        return t.slice(dim, begin, begin + step * (count - 1) + 1, step);
    }
};

StackedRows stacked_rows(const MoeSpec& moe, ExpertMatrix matrix, int64_t hidden)
{
    const bool interleaved = is_interleaved(moe.storage);
    switch (matrix) {
    case ExpertMatrix::Gate:
        return {0, interleaved ? 2 : 1, moe.expert_dim};
    case ExpertMatrix::Up:
        return {interleaved ? 1 : moe.expert_dim, interleaved ? 2 : 1, moe.expert_dim};
    case ExpertMatrix::Down:
        break;
    }
    return {0, 1, hidden};
}

/// Name of the stacked tensor that a matrix lies in, and its shape in [experts, out, in] order.
std::pair<std::string, std::vector<int64_t>> stacked_place(
    const MoeSpec& moe, const MoeLayout& layout, ExpertMatrix matrix, int64_t hidden)
{
    if (matrix == ExpertMatrix::Down) {
        return {layout.down, {moe.n_experts, hidden, moe.expert_dim}};
    }
    return {layout.gate_up, {moe.n_experts, 2 * moe.expert_dim, hidden}};
}

/// weight [rows, columns] of one expert's matrix, in [out, in] order.
class StackedMatrix
{
public:
    StackedMatrix(const WeightLoader& loader, Experts storage,
        const std::pair<std::string, std::vector<int64_t>>& place, bool has_bias)
        : loader_(loader)
        , transposed_(
              storage == Experts::StackedTransposed || storage == Experts::StackedInterleaved)
    {
        const auto& [name, shape] = place;
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

    at::Tensor weight(int64_t e, const StackedRows& rows) const
    {
        if (scales_.defined()) {
            return decode_mxfp4(rows.of(weight_.select(0, e), 0), rows.of(scales_.select(0, e), 0),
                loader_.options());
        }
        const at::Tensor matrix = weight_.select(0, e);
        return loader_.own(rows.of(transposed_ ? matrix.t() : matrix, 0));
    }

    Linear linear(const std::string& name, int64_t e, const StackedRows& rows) const
    {
        return Linear(name, weight(e, rows),
            bias_.defined() ? loader_.own(rows.of(bias_.select(0, e), 0)) : at::Tensor());
    }

private:
    const WeightLoader& loader_;
    bool transposed_;
    at::Tensor weight_, scales_, bias_;
};

std::vector<Mlp> load_stacked(const WeightLoader& loader, const MoeSpec& moe, Activation act,
    const MoeLayout& layout, int64_t hidden)
{
    const auto stack = [&](ExpertMatrix matrix) {
        return StackedMatrix(
            loader, moe.storage, stacked_place(moe, layout, matrix, hidden), moe.expert_bias);
    };
    const StackedMatrix gate_up = stack(ExpertMatrix::Gate), down = stack(ExpertMatrix::Down);
    const auto rows = [&](ExpertMatrix matrix) { return stacked_rows(moe, matrix, hidden); };
    std::vector<Mlp> experts;
    for (int64_t e = 0; e < moe.n_experts; ++e) {
        const MlpLayout& names = layout.experts[static_cast<std::size_t>(e)];
        Mlp mlp;
        mlp.act = act;
        mlp.gate = gate_up.linear(names.gate->name, e, rows(ExpertMatrix::Gate));
        mlp.up = gate_up.linear(names.up->name, e, rows(ExpertMatrix::Up));
        mlp.down = down.linear(names.down.name, e, rows(ExpertMatrix::Down));
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

std::vector<std::string> expert_tensor_names(
    const MoeSpec& moe, const MoeLayout& layout, int64_t hidden)
{
    std::vector<std::string> names;
    if (moe.storage != Experts::PerExpert) {
        for (const ExpectedTensor& tensor : stacked_tensors(moe, layout, hidden)) {
            names.push_back(tensor.name);
        }
        return names;
    }
    for (const MlpLayout& expert : layout.experts) {
        for (const ExpertMatrix matrix : kExpertMatrices) {
            const LinearSlot& slot = expert_slot(expert, matrix);
            names.push_back(slot.name + ".weight");
            if (slot.has_bias) {
                names.push_back(slot.name + ".bias");
            }
        }
    }
    return names;
}

const LinearSlot& expert_slot(const MlpLayout& expert, ExpertMatrix matrix)
{
    switch (matrix) {
    case ExpertMatrix::Gate:
        return *expert.gate;
    case ExpertMatrix::Up:
        return *expert.up;
    case ExpertMatrix::Down:
        break;
    }
    return expert.down;
}

at::Tensor load_expert_weights(const WeightLoader& loader, const MoeSpec& moe,
    const MoeLayout& layout, ExpertMatrix matrix, int64_t hidden)
{
    const LinearSlot& first = expert_slot(layout.experts.front(), matrix);
    at::Tensor weights = at::empty({moe.n_experts, first.rows, first.columns}, loader.options());
    std::optional<StackedMatrix> stack;
    if (moe.storage != Experts::PerExpert) {
        stack.emplace(
            loader, moe.storage, stacked_place(moe, layout, matrix, hidden), /*has_bias=*/false);
    }
    for (int64_t e = 0; e < moe.n_experts; ++e) {
        const LinearSlot& slot = expert_slot(layout.experts[static_cast<std::size_t>(e)], matrix);
        weights.select(0, e).copy_(stack
                ? stack->weight(e, stacked_rows(moe, matrix, hidden))
                : loader.tensor(slot.name + ".weight", {slot.rows, slot.columns}));
    }
    return weights;
}

at::Tensor load_expert_biases(const WeightLoader& loader, const MoeSpec& moe,
    const MoeLayout& layout, ExpertMatrix matrix, int64_t hidden)
{
    if (moe.storage != Experts::PerExpert) {
        const auto [name, shape] = stacked_place(moe, layout, matrix, hidden);
        const at::Tensor biases = loader.stored(name + "_bias", {shape[0], shape[1]});
        return loader.own(stacked_rows(moe, matrix, hidden).of(biases, 1));
    }
    std::vector<at::Tensor> biases;
    for (const MlpLayout& expert : layout.experts) {
        const LinearSlot& slot = expert_slot(expert, matrix);
        biases.push_back(loader.tensor(slot.name + ".bias", {slot.rows}));
    }
    return at::stack(biases);
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
