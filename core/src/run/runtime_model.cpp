// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/runtime_model.h"

#include "model/block_layout.h"
#include "tune/cache_rounding.h"
#include "tune/quantized_linear.h"

namespace bitsmith {

std::unique_ptr<model::DecoderBlock> load_runtime_block(
    const model::CausalLm& model, const source::ModelSource& source, int64_t index)
{
    auto block = model.load_block(index);
    if (source.runtime == nullptr) {
        return block;
    }
    for (const model::BlockLinear& item : block->linears()) {
        const source::InputRounding inputs = source.runtime->inputs(item.linear->name);
        tune::set_activations(*item.linear, inputs.scheme, inputs.largest);
    }
    tune::set_cache(*block, source.runtime->cache(model::attention_module(model.spec(), index)));
    return block;
}

void put_runtime_head(model::CausalLm& model, const source::ModelSource& source)
{
    if (source.runtime == nullptr) {
        return;
    }
    const source::InputRounding inputs = source.runtime->inputs(model.head_name());
    if (inputs.scheme.quantizes_activations()) {
        model::Linear head = model.load_head();
        tune::set_activations(head, inputs.scheme, inputs.largest);
        model.replace_head(std::move(head));
    }
}

void warn_about_runtime(RunContext& context, const source::ModelSource& source)
{
    if (source.runtime != nullptr) {
        for (const std::string& warning : source.runtime->warnings()) {
            context.events.warn("runtime", warning);
        }
    }
}

} // namespace bitsmith
