// SPDX-License-Identifier: GPL-3.0-or-later
#include "model/block_layout.h"

#include "base/text.h"
#include "model/decoder_block.h"
#include "model/expert_storage.h"

#include <bitsmith/error.h>

namespace bitsmith::model {

namespace {

/// "model.layers.0.self_attn" of "model.layers.0.self_attn.q_proj".
std::string module_of(const std::string& name)
{
    return name.substr(0, name.rfind('.'));
}

AttentionLayout attention_layout(
    const DecoderSpec& spec, const AttentionSpec& a, const std::string& prefix)
{
    const BlockNames& names = spec.names;
    const std::string module = module_of(prefix + names.o);
    const int64_t q_rows = a.n_heads * a.head_dim;
    const int64_t k_rows = a.n_kv_heads * a.head_dim;
    const int64_t v_rows = a.n_kv_heads * a.value_dim;
    AttentionLayout layout;
    if (names.fusion == Fusion::Flat) {
        const std::string name = prefix + names.qkv;
        layout.qkv = LinearSlot{name, q_rows + k_rows + v_rows, spec.hidden, a.q_bias, true, name};
    } else {
        const std::string unit = module + ".qkv";
        layout.q = LinearSlot{prefix + names.q, q_rows, spec.hidden, a.q_bias, true, unit};
        layout.k = LinearSlot{prefix + names.k, k_rows, spec.hidden, a.kv_bias, true, unit};
        layout.v = LinearSlot{prefix + names.v, v_rows, spec.hidden, a.kv_bias, true, unit};
    }
    const std::string o = prefix + names.o;
    layout.o = LinearSlot{o, spec.hidden, a.n_heads * a.value_dim, a.o_bias, true, o};
    if (a.qk_norm == QkNorm::PerHead) {
        layout.q_norm = NormSlot{prefix + names.q_norm, a.qk_norm_spec, a.head_dim};
        layout.k_norm = NormSlot{prefix + names.k_norm, a.qk_norm_spec, a.head_dim};
    }
    if (a.has_sinks) {
        layout.sinks = prefix + names.sinks;
    }
    return layout;
}

MlpLayout mlp_layout(const DecoderSpec& spec, const MlpSpec& m, const std::string& prefix)
{
    const BlockNames& names = spec.names;
    MlpLayout layout;
    if (m.fused_gate_up) {
        const std::string name = prefix + names.gate_up;
        layout.gate_up = LinearSlot{name, 2 * m.dim, spec.hidden, m.bias, true, name};
    } else {
        const std::string unit = module_of(prefix + names.down) + ".gate_up";
        layout.gate = LinearSlot{prefix + names.gate, m.dim, spec.hidden, m.bias, true, unit};
        layout.up = LinearSlot{prefix + names.up, m.dim, spec.hidden, m.bias, true, unit};
    }
    const std::string down = prefix + names.down;
    layout.down = LinearSlot{down, spec.hidden, m.dim, m.bias, true, down};
    return layout;
}

/// All experts of a block share a scheme, gate with up and down on its own: runtimes and GGUF hold
/// them stacked (models.md 4.2).
MoeLayout moe_layout(const DecoderSpec& spec, const MoeSpec& m, const std::string& prefix)
{
    const BlockNames& names = spec.names;
    const std::string router = prefix + names.router;
    MoeLayout layout;
    layout.router = LinearSlot{
        router, m.n_experts, spec.hidden, m.router.has_bias, /*quantizable=*/false, router};
    layout.gate_up = prefix + names.experts_gate_up;
    layout.down = prefix + names.experts_down;
    const std::string unit = module_of(router) + ".experts";
    for (int64_t e = 0; e < m.n_experts; ++e) {
        const std::string expert = with_number(prefix + names.expert, "{e}", e);
        MlpLayout mlp;
        mlp.gate = LinearSlot{expert + names.expert_gate, m.expert_dim, spec.hidden, m.expert_bias,
            true, unit + ".gate_up"};
        mlp.up = LinearSlot{expert + names.expert_up, m.expert_dim, spec.hidden, m.expert_bias,
            true, unit + ".gate_up"};
        mlp.down = LinearSlot{expert + names.expert_down, spec.hidden, m.expert_dim, m.expert_bias,
            true, unit + ".down"};
        layout.experts.push_back(std::move(mlp));
    }
    return layout;
}

void add_mlp(std::vector<LinearSlot>& slots, const MlpLayout& mlp)
{
    for (const auto& slot : {mlp.gate_up, mlp.gate, mlp.up}) {
        if (slot) {
            slots.push_back(*slot);
        }
    }
    slots.push_back(mlp.down);
}

void expect(std::vector<ExpectedTensor>& tensors, const LinearSlot& slot)
{
    tensors.push_back({slot.name + ".weight", {slot.rows, slot.columns}});
    if (slot.has_bias) {
        tensors.push_back({slot.name + ".bias", {slot.rows}});
    }
}

void expect(std::vector<ExpectedTensor>& tensors, const NormSlot& slot)
{
    tensors.push_back({slot.name + ".weight", {slot.size}});
}

} // namespace

BlockLayout block_layout(const DecoderSpec& spec, int64_t index)
{
    BITSMITH_ASSERT(index >= 0 && index < static_cast<int64_t>(spec.blocks.size()));
    const BlockSpec& block = spec.blocks[static_cast<std::size_t>(index)];
    const BlockNames& names = spec.names;
    const std::string prefix = with_number(spec.model_names.block, "{i}", index);
    BlockLayout layout;
    layout.norm1 = NormSlot{prefix + names.norm1, block.norm, spec.hidden};
    layout.norm2 = NormSlot{prefix + names.norm2, block.norm, spec.hidden};
    if (block.wiring == Wiring::Sandwich) {
        layout.norm1_post = NormSlot{prefix + names.norm1_post, block.norm, spec.hidden};
        layout.norm2_post = NormSlot{prefix + names.norm2_post, block.norm, spec.hidden};
    }
    layout.attention = attention_layout(spec, block.attention, prefix);
    if (block.moe) {
        layout.moe = moe_layout(spec, *block.moe, prefix);
    } else {
        layout.mlp = mlp_layout(spec, block.mlp, prefix);
    }
    return layout;
}

std::string attention_module(const DecoderSpec& spec, int64_t index)
{
    return module_of(block_layout(spec, index).attention.o.name);
}

std::vector<LinearSlot> linear_slots(const BlockLayout& layout)
{
    std::vector<LinearSlot> slots;
    for (const auto& slot :
        {layout.attention.qkv, layout.attention.q, layout.attention.k, layout.attention.v}) {
        if (slot) {
            slots.push_back(*slot);
        }
    }
    slots.push_back(layout.attention.o);
    if (layout.mlp) {
        add_mlp(slots, *layout.mlp);
    }
    if (layout.moe) {
        slots.push_back(layout.moe->router);
        for (const MlpLayout& expert : layout.moe->experts) {
            add_mlp(slots, expert);
        }
    }
    return slots;
}

std::vector<ExpectedTensor> expected_block_tensors(const DecoderSpec& spec, int64_t index)
{
    const BlockLayout layout = block_layout(spec, index);
    std::vector<ExpectedTensor> tensors;
    expect(tensors, layout.norm1);
    const AttentionLayout& attention = layout.attention;
    for (const auto& slot : {attention.qkv, attention.q, attention.k, attention.v}) {
        if (slot) {
            expect(tensors, *slot);
        }
    }
    for (const auto& slot : {attention.q_norm, attention.k_norm}) {
        if (slot) {
            expect(tensors, *slot);
        }
    }
    if (!attention.sinks.empty()) {
        const BlockSpec& block = spec.blocks[static_cast<std::size_t>(index)];
        tensors.push_back({attention.sinks, {block.attention.n_heads}});
    }
    expect(tensors, attention.o);
    for (const auto& slot :
        {layout.norm1_post, std::optional<NormSlot>(layout.norm2), layout.norm2_post}) {
        if (slot) {
            expect(tensors, *slot);
        }
    }
    std::vector<LinearSlot> mlp;
    if (layout.mlp) {
        add_mlp(mlp, *layout.mlp);
    } else {
        mlp.push_back(layout.moe->router);
        const MoeSpec& moe = *spec.blocks[static_cast<std::size_t>(index)].moe;
        if (moe.storage == Experts::PerExpert) {
            for (const MlpLayout& expert : layout.moe->experts) {
                add_mlp(mlp, expert);
            }
        } else {
            const auto stacked = stacked_tensors(moe, *layout.moe, spec.hidden);
            tensors.insert(tensors.end(), stacked.begin(), stacked.end());
        }
    }
    for (const LinearSlot& slot : mlp) {
        expect(tensors, slot);
    }
    return tensors;
}

std::vector<LinearShape> block_linear_shapes(const DecoderSpec& spec, int64_t index)
{
    std::vector<LinearShape> shapes;
    for (const LinearSlot& slot : linear_slots(block_layout(spec, index))) {
        shapes.push_back({slot.name, slot.rows, slot.columns, slot.quantizable, slot.unit});
    }
    return shapes;
}

} // namespace bitsmith::model
