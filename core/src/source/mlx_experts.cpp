// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/mlx_experts.h"

#include "base/text.h"
#include "source/layer_parts.h"

#include <bitsmith/error.h>

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>

namespace bitsmith::source {

namespace {

using tensor::TensorEntry;

/// Far above any model; a file may claim any number.
constexpr int64_t kMaxExperts = 65536;

/// How the name of a module of all experts ends, and what stands there before and behind the number
/// of one.
struct StackName
{
    std::string_view all, before, behind;
};
constexpr std::array kStacks = {
    StackName{".block_sparse_moe.switch_mlp.gate_proj", ".block_sparse_moe.experts.", ".w1"},
    StackName{".block_sparse_moe.switch_mlp.up_proj", ".block_sparse_moe.experts.", ".w3"},
    StackName{".block_sparse_moe.switch_mlp.down_proj", ".block_sparse_moe.experts.", ".w2"},
    StackName{".mlp.switch_mlp.gate_proj", ".mlp.experts.", ".gate_proj"},
    StackName{".mlp.switch_mlp.up_proj", ".mlp.experts.", ".up_proj"},
    StackName{".mlp.switch_mlp.down_proj", ".mlp.experts.", ".down_proj"},
    StackName{".mlp.experts.gate_proj", ".mlp.experts.", ".gate_proj"},
    StackName{".mlp.experts.up_proj", ".mlp.experts.", ".up_proj"},
    StackName{".mlp.experts.down_proj", ".mlp.experts.", ".down_proj"},
};

/// Null: `module` is none of all experts.
const StackName* stack_name(std::string_view module)
{
    const auto found = std::find_if(kStacks.begin(), kStacks.end(),
        [module](const StackName& name) { return module.ends_with(name.all); });
    return found == kStacks.end() ? nullptr : &*found;
}

void check_stack(const TensorEntry& entry)
{
    if (entry.shape.size() < 2 || entry.bytes == 0 || entry.shape.front() > kMaxExperts) {
        misfit(entry, concat("1 to ", kMaxExperts, " experts in the first of several dimensions"));
    }
}

} // namespace

MlxExperts::MlxExperts(std::shared_ptr<const tensor::TensorSource> stored)
    : stored_(std::move(stored))
{
    for (const TensorEntry& entry : stored_->entries()) {
        const std::string_view name = entry.name;
        const std::size_t dot = std::min(name.rfind('.'), name.size());
        const std::string_view module = name.substr(0, dot);
        const StackName* stack = stack_name(module);
        if (stack == nullptr) {
            put(entry, {&entry, -1});
            continue;
        }
        check_stack(entry);
        const int64_t experts = entry.shape.front();
        const std::vector<int64_t> shape(entry.shape.begin() + 1, entry.shape.end());
        const std::string_view block = module.substr(0, module.size() - stack->all.size());
        for (int64_t e = 0; e < experts; ++e) {
            put({concat(block, stack->before, e, stack->behind, name.substr(dot)), shape,
                    entry.dtype, entry.bytes / experts},
                {&entry, e});
        }
    }
}

const TensorEntry* MlxExperts::find(std::string_view name) const
{
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second];
}

at::Tensor MlxExperts::load(std::string_view name) const
{
    const Place& place = place_of(name);
    return place.expert < 0 ? stored_->load(place.stored->name)
                            : stored_->load_at(place.stored->name, place.expert);
}

const std::string& MlxExperts::stored_name(std::string_view name) const
{
    return place_of(name).stored->name;
}

void MlxExperts::put(TensorEntry entry, const Place& place)
{
    if (!index_.emplace(entry.name, entries_.size()).second) {
        fail(ErrorCode::FileCorrupt, "an expert is stored twice",
            {{"tensor", place.stored->name}, {"found", entry.name}});
    }
    entries_.push_back(std::move(entry));
    places_.push_back(place);
}

const MlxExperts::Place& MlxExperts::place_of(std::string_view name) const
{
    const auto found = index_.find(name);
    if (found == index_.end()) {
        fail(ErrorCode::MissingTensor, "the model has no such tensor",
            {{"tensor", std::string(name)}});
    }
    return places_[found->second];
}

} // namespace bitsmith::source
