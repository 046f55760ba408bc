// SPDX-License-Identifier: GPL-3.0-or-later
// The block that runs every family of the description. Each wiring is a function of its own, so
// that the wirings never interleave.
#include "model/decoder_block.h"

#include "model/attention.h"
#include "model/expert_storage.h"
#include "model/moe.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

namespace bitsmith::model {

namespace {

class SpecBlock : public DecoderBlock
{
public:
    Wiring wiring = Wiring::Pre;
    Norm norm1, norm1_post, norm2, norm2_post;
    Attention attention;
    std::optional<Mlp> mlp;
    std::optional<Moe> moe;
    std::vector<LinearSlot> slots; ///< of linears(), in the same order
    std::vector<std::string> norm_names; ///< of norms(), in the same order

    at::Tensor forward(
        const at::Tensor& hidden, const BlockShared& shared, KvCache* cache) const override
    {
        switch (wiring) {
        case Wiring::Pre:
            return pre(hidden, shared, cache);
        case Wiring::PostBranch:
            return post_branch(hidden, shared, cache);
        case Wiring::Sandwich:
            return sandwich(hidden, shared, cache);
        default:
            fail(ErrorCode::UnsupportedModel, "this wiring is not implemented",
                {{"field", "wiring"}, {"found", std::to_string(static_cast<int>(wiring))}});
        }
    }

    std::vector<BlockLinear> linears() override
    {
        std::vector<Linear*> all{
            &attention.qkv, &attention.q, &attention.k, &attention.v, &attention.o};
        const auto add = [&](Mlp& part) {
            all.insert(all.end(), {&part.gate_up, &part.gate, &part.up, &part.down});
        };
        if (mlp) {
            add(*mlp);
        }
        if (moe) {
            all.push_back(&moe->router);
            std::for_each(moe->experts.begin(), moe->experts.end(), add);
        }
        std::erase_if(all, [](const Linear* linear) { return !linear->defined(); });
        BITSMITH_ASSERT(all.size() == slots.size());
        std::vector<BlockLinear> out;
        for (std::size_t i = 0; i < all.size(); ++i) {
            BITSMITH_ASSERT(all[i]->name == slots[i].name);
            out.push_back({all[i], slots[i].quantizable, slots[i].unit, added_to(all[i])});
        }
        return out;
    }

    std::vector<BlockNorm> norms() override
    {
        std::vector<Norm*> all{
            &norm1, &norm1_post, &norm2, &norm2_post, &attention.q_norm, &attention.k_norm};
        std::erase_if(all, [](const Norm* norm) { return !norm->defined(); });
        BITSMITH_ASSERT(all.size() == norm_names.size());
        std::vector<BlockNorm> out;
        for (std::size_t i = 0; i < all.size(); ++i) {
            out.push_back({all[i], norm_names[i]});
        }
        return out;
    }

    std::vector<FoldableInput> foldable_inputs() override
    {
        std::vector<FoldableInput> inputs;
        const auto add_norm = [&](Norm& norm, std::vector<Linear*> readers) {
            std::erase_if(readers, [](const Linear* linear) { return !linear->defined(); });
            if (wiring != Wiring::PostBranch) { // where norms come behind the layers
                inputs.push_back({std::move(readers), named(norm)});
            }
        };
        add_norm(norm1, {&attention.qkv, &attention.q, &attention.k, &attention.v});
        std::vector<Linear*> readers;
        std::vector<FoldableInput> products;
        const auto add = [&](Mlp& part) {
            readers.insert(readers.end(), {&part.gate_up, &part.gate, &part.up});
            Linear& up = part.gate_up.defined() ? part.gate_up : part.up;
            if (is_linear_in_up(part.act) && !up.bias.defined()) {
                const int64_t first = part.gate_up.defined() ? up.weight.size(0) / 2 : 0;
                products.push_back({{&part.down}, {}, &up, first});
            }
        };
        if (mlp) {
            add(*mlp);
        }
        if (moe) {
            readers.push_back(&moe->router);
            std::for_each(moe->experts.begin(), moe->experts.end(), add);
        }
        add_norm(norm2, std::move(readers));
        inputs.insert(inputs.end(), products.begin(), products.end());
        return inputs;
    }

private:
    BlockNorm named(const Norm& norm)
    {
        for (const BlockNorm& item : norms()) {
            if (item.norm == &norm) {
                return item;
            }
        }
        BITSMITH_ASSERT(false);
        return {};
    }

    AddedTo added_to(const Linear* linear) const
    {
        if (wiring != Wiring::Pre) {
            return AddedTo::Nothing;
        }
        if (linear == &attention.o) {
            return AddedTo::Input;
        }
        return mlp && linear == &mlp->down ? AddedTo::AfterAttention : AddedTo::Nothing;
    }

    at::Tensor attend(const at::Tensor& x, const BlockShared& shared, KvCache* cache) const
    {
        return attention.forward(x, shared, cache, cache_transform.get());
    }

    at::Tensor feed_forward(const at::Tensor& x) const
    {
        return mlp ? mlp->forward(x) : moe->forward(x);
    }

    at::Tensor pre(const at::Tensor& x, const BlockShared& shared, KvCache* cache) const
    {
        const at::Tensor y = x + attend(norm1.forward(x), shared, cache);
        return y + feed_forward(norm2.forward(y));
    }

    at::Tensor post_branch(const at::Tensor& x, const BlockShared& shared, KvCache* cache) const
    {
        const at::Tensor y = x + norm1.forward(attend(x, shared, cache));
        return y + norm2.forward(feed_forward(y));
    }

    at::Tensor sandwich(const at::Tensor& x, const BlockShared& shared, KvCache* cache) const
    {
        const at::Tensor a = attend(norm1.forward(x), shared, cache);
        const at::Tensor y = x + norm1_post.forward(a);
        return y + norm2_post.forward(feed_forward(norm2.forward(y)));
    }
};

/// In the order of SpecBlock::norms.
std::vector<std::string> norm_names(const BlockLayout& layout)
{
    std::vector<std::string> names{layout.norm1.name};
    const auto add = [&names](const std::optional<NormSlot>& slot) {
        if (slot) {
            names.push_back(slot->name);
        }
    };
    add(layout.norm1_post);
    names.push_back(layout.norm2.name);
    add(layout.norm2_post);
    add(layout.attention.q_norm);
    add(layout.attention.k_norm);
    return names;
}

Attention load_attention(
    const WeightLoader& loader, const AttentionLayout& layout, const AttentionSpec& spec)
{
    const auto linear = [&](const std::optional<LinearSlot>& slot) {
        return slot ? loader.linear(*slot) : Linear();
    };
    Attention attention;
    attention.spec = spec;
    attention.qkv = linear(layout.qkv);
    attention.q = linear(layout.q);
    attention.k = linear(layout.k);
    attention.v = linear(layout.v);
    attention.o = loader.linear(layout.o);
    if (layout.q_norm) {
        attention.q_norm = loader.norm(*layout.q_norm);
        attention.k_norm = loader.norm(*layout.k_norm);
    }
    if (!layout.sinks.empty()) {
        attention.sinks = loader.tensor(layout.sinks, {spec.n_heads});
    }
    return attention;
}

Mlp load_mlp(const WeightLoader& loader, const MlpLayout& layout, Activation act)
{
    const auto linear = [&](const std::optional<LinearSlot>& slot) {
        return slot ? loader.linear(*slot) : Linear();
    };
    Mlp mlp;
    mlp.act = act;
    mlp.gate_up = linear(layout.gate_up);
    mlp.gate = linear(layout.gate);
    mlp.up = linear(layout.up);
    mlp.down = loader.linear(layout.down);
    return mlp;
}

} // namespace

std::unique_ptr<DecoderBlock> load_block(const DecoderSpec& spec, int64_t index,
    const tensor::TensorSource& tensors, const at::TensorOptions& options)
{
    const BlockLayout layout = block_layout(spec, index);
    const BlockSpec& what = spec.blocks[static_cast<std::size_t>(index)];
    const WeightLoader loader(tensors, options);
    auto block = std::make_unique<SpecBlock>();
    block->index = index;
    block->wiring = what.wiring;
    block->slots = linear_slots(layout);
    block->norm_names = norm_names(layout);
    block->norm1 = loader.norm(layout.norm1);
    block->norm2 = loader.norm(layout.norm2);
    if (layout.norm1_post) {
        block->norm1_post = loader.norm(*layout.norm1_post);
        block->norm2_post = loader.norm(*layout.norm2_post);
    }
    block->attention = load_attention(loader, layout.attention, what.attention);
    if (layout.mlp) {
        block->mlp = load_mlp(loader, *layout.mlp, what.mlp.act);
    } else {
        block->moe.emplace();
        block->moe->spec = what.moe->router;
        block->moe->router = loader.linear(layout.moe->router);
        block->moe->experts =
            load_experts(loader, *what.moe, what.mlp.act, *layout.moe, spec.hidden);
    }
    return block;
}

} // namespace bitsmith::model
