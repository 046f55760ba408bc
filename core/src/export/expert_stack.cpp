// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/expert_stack.h"

#include "base/text.h"
#include "export/planned_weights.h"

#include <ATen/ATen.h>

namespace bitsmith::exporting {

namespace {

using model::ExpertMatrix;
using model::LinearSlot;
using model::MlpLayout;

ExpertStack make_stack(const std::vector<MlpLayout>& experts, int64_t block, ExpertMatrix matrix)
{
    const LinearSlot& first = model::expert_slot(experts.front(), matrix);
    ExpertStack stack{block, matrix, {}, first.rows, first.columns, first.has_bias};
    for (const MlpLayout& expert : experts) {
        stack.layers.push_back(model::expert_slot(expert, matrix).name);
    }
    return stack;
}

const PlannedLayer& planned_layer(const Plan& plan, const std::string& name)
{
    const PlannedLayer* layer = plan.find(name);
    if (layer == nullptr) {
        fail(ErrorCode::MissingTensor, "an expert is not in the plan", {{"layer", name}});
    }
    return *layer;
}

/// One of the loaders of the model on the experts of a stack.
template <class Load>
at::Tensor load_stack(const source::ModelSource& source, const ExpertStack& stack, Load load)
{
    const model::WeightLoader loader(*source.tensors, at::dtype(stack_type(source, stack)));
    const auto& block = source.spec.blocks[static_cast<std::size_t>(stack.block)];
    return load(loader, *block.moe, *model::block_layout(source.spec, stack.block).moe,
        stack.matrix, source.spec.hidden);
}

} // namespace

std::vector<ExpertStack> expert_stacks(const model::DecoderSpec& spec)
{
    std::vector<ExpertStack> stacks;
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        if (!spec.blocks[i].moe) {
            continue;
        }
        const auto block = static_cast<int64_t>(i);
        const model::BlockLayout layout = model::block_layout(spec, block);
        for (const ExpertMatrix matrix : model::kExpertMatrices) {
            stacks.push_back(make_stack(layout.moe->experts, block, matrix));
        }
    }
    return stacks;
}

std::set<std::string, std::less<>> expert_tensors(const model::DecoderSpec& spec)
{
    std::set<std::string, std::less<>> names;
    for (std::size_t i = 0; i < spec.blocks.size(); ++i) {
        if (spec.blocks[i].moe) {
            const model::BlockLayout layout = model::block_layout(spec, static_cast<int64_t>(i));
            for (std::string& name :
                model::expert_tensor_names(*spec.blocks[i].moe, *layout.moe, spec.hidden)) {
                names.insert(std::move(name));
            }
        }
    }
    return names;
}

const Scheme& stack_scheme(const Plan& plan, const ExpertStack& stack)
{
    const PlannedLayer& first = planned_layer(plan, stack.layers.front());
    for (const std::string& name : stack.layers) {
        const PlannedLayer& layer = planned_layer(plan, name);
        if (layer.scheme != first.scheme) {
            fail(ErrorCode::UnsupportedScheme,
                "the format holds the experts of a block in one tensor, all in one scheme",
                {{"layer", name}, {"found", scheme_name(layer.scheme)},
                    {"allowed", concat(scheme_name(first.scheme), ", as ", first.name, " has")}},
                "Give all experts of a block the same scheme.");
        }
    }
    return first.scheme;
}

c10::ScalarType stack_type(const source::ModelSource& model, const ExpertStack& stack)
{
    const auto& block = model.spec.blocks[static_cast<std::size_t>(stack.block)];
    const model::BlockLayout layout = model::block_layout(model.spec, stack.block);
    return value_type(
        model, model::expert_tensor_names(*block.moe, *layout.moe, model.spec.hidden).front());
}

at::Tensor stack_weights(const source::ModelSource& model, const ExpertStack& stack)
{
    return load_stack(model, stack, model::load_expert_weights);
}

at::Tensor stack_biases(const source::ModelSource& model, const ExpertStack& stack)
{
    return load_stack(model, stack, model::load_expert_biases);
}

} // namespace bitsmith::exporting
