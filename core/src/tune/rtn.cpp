// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/rtn.h"

#include "base/timing.h"
#include "quant/affine.h"
#include "quant/range_search.h"
#include "tune/layer_errors.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith::tune {

std::vector<PlannedLinear> planned_linears(model::DecoderBlock& block, const Plan& plan)
{
    std::vector<PlannedLinear> layers;
    for (const model::BlockLinear& entry : block.linears()) {
        model::Linear& linear = *entry.linear;
        const PlannedLayer* planned = plan.find(linear.name);
        if (planned == nullptr || !planned->scheme.is_quantized()) {
            continue;
        }
        if (!entry.quantizable) {
            fail(ErrorCode::InvalidSpec, "the plan quantizes a layer that has to stay as it is",
                {{"layer", linear.name}});
        }
        if (linear.weight.size(0) != planned->rows || linear.weight.size(1) != planned->columns) {
            fail(ErrorCode::ShapeMismatch, "the plan was made for a layer of another shape",
                {{"layer", linear.name},
                    {"found",
                        std::to_string(linear.weight.size(0)) + " x "
                            + std::to_string(linear.weight.size(1))},
                    {"allowed",
                        std::to_string(planned->rows) + " x " + std::to_string(planned->columns)}});
        }
        layers.push_back({&linear, planned, entry.unit});
    }
    return layers;
}

FinishedLayer finish_layer(
    const PlannedLinear& layer, const at::Tensor& original, const quant::QuantizedWeight& codes)
{
    const at::NoGradGuard no_grad;
    const Scheme& scheme = layer.planned->scheme;
    const at::Tensor decoded = quant::codec_for(scheme).decode(codes);
    FinishedLayer finished;
    finished.name = layer.linear->name;
    finished.errors.block = layer.planned->block_index;
    finished.errors.layer = layer.linear->name;
    finished.errors.scheme = scheme_name(scheme);
    finished.errors.bits = effective_bits(scheme, layer.planned->columns);
    measure_weight(original, decoded, finished.errors);
    layer.linear->weight = decoded.to(layer.linear->weight.scalar_type());
    finished.weight = {scheme, codes.codes.cpu(), codes.scales.cpu(), codes.zeros.cpu()};
    return finished;
}

quant::GroupRange start_range(
    const PlannedLinear& layer, const Recipe& recipe, const at::Tensor& importance)
{
    if (recipe.start == Start::MinMax) {
        return {};
    }
    quant::check_weight(layer.linear->weight, layer.planned->scheme, layer.linear->name);
    return quant::search_range(layer.linear->weight, layer.planned->scheme, importance);
}

FinishedLayer round_layer(const PlannedLinear& layer, const quant::GroupRange& start)
{
    const at::NoGradGuard no_grad;
    const Scheme& scheme = layer.planned->scheme;
    const quant::Codec& codec = quant::codec_for(scheme);
    quant::check_weight(layer.linear->weight, scheme, layer.linear->name);
    const at::Tensor original = layer.linear->weight;
    const bool is_wide = original.scalar_type() == at::kDouble;
    quant::TunedValues tuned;
    tuned.range = start;
    return finish_layer(layer, original,
        codec.encode(original.to(is_wide ? at::kDouble : at::kFloat), scheme, tuned));
}

BlockResult round_block(
    RunContext& context, model::DecoderBlock& block, const Plan& plan, const Recipe& recipe)
{
    const Stopwatch watch;
    const std::vector<PlannedLinear> layers = planned_linears(block, plan);
    context.events.emit(BlockStarted{block.index, static_cast<int64_t>(layers.size()), 0});
    BlockResult result;
    for (const PlannedLinear& layer : layers) {
        context.checkpoint();
        result.layers.push_back(round_layer(layer, start_range(layer, recipe, {})));
        context.events.emit(result.layers.back().errors);
    }
    result.summary.block = block.index;
    result.summary.seconds = watch.seconds();
    context.events.emit(result.summary);
    return result;
}

} // namespace bitsmith::tune
