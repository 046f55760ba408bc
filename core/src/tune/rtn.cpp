// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/rtn.h"

#include "base/text.h"
#include "base/timing.h"
#include "quant/affine.h"
#include "tune/kept_layers.h"
#include "tune/layer_errors.h"
#include "tune/quantized_linear.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <map>

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
        layers.push_back({&linear, planned, entry.unit, entry.added_to});
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
    finished.small_groups = groups_below_scales(original, codes);
    layer.linear->weight = decoded.to(layer.linear->weight.scalar_type());
    set_activations(*layer.linear, scheme, codes.input_max);
    finished.weight = codes;
    for (const quant::WeightPart& part : quant::kWeightParts) {
        at::Tensor& tensor = finished.weight.*part.tensor;
        tensor = tensor.defined() ? tensor.cpu() : tensor;
    }
    return finished;
}

at::Tensor known_importance(const BlockInputs& inputs, const std::string& layer)
{
    if (inputs.importance == nullptr) {
        return {};
    }
    const auto found = inputs.importance->find(layer);
    return found == inputs.importance->end() ? at::Tensor() : found->second;
}

quant::TunedValues start_values(
    const PlannedLinear& layer, const Recipe& recipe, const LayerStatistics& statistics)
{
    const Scheme& scheme = layer.planned->scheme;
    quant::TunedValues start;
    start.tensor_max = statistics.tensor_max;
    start.input_max = statistics.input_max;
    start.v_in_scales = recipe.mimic_reference;
    if (recipe.start != Start::MinMax) {
        quant::check_weight(layer.linear->weight, scheme, layer.linear->name);
        start.range = quant::codec_for(scheme).search(
            layer.linear->weight, scheme, statistics.importance, start.tensor_max);
    }
    return start;
}

std::vector<at::Tensor> fused_maxima(const std::vector<PlannedLinear>& layers)
{
    const at::NoGradGuard no_grad;
    const auto unit_of = [](const PlannedLinear& layer) {
        return layer.unit.empty() ? layer.linear->name : layer.unit;
    };
    std::map<std::string, at::Tensor> of_unit;
    for (const PlannedLinear& layer : layers) {
        if (quant::has_tensor_scale(layer.planned->scheme)) {
            const at::Tensor own = layer.linear->weight.abs().amax().to(at::kFloat).reshape({1});
            at::Tensor& largest = of_unit[unit_of(layer)];
            largest = largest.defined() ? at::maximum(largest, own) : own;
        }
    }
    std::vector<at::Tensor> maxima;
    for (const PlannedLinear& layer : layers) {
        maxima.push_back(quant::has_tensor_scale(layer.planned->scheme) ? of_unit.at(unit_of(layer))
                                                                        : at::Tensor());
    }
    return maxima;
}

void report_layer(RunContext& context, const FinishedLayer& layer)
{
    if (layer.small_groups > 0) {
        context.events.warn("small_scales",
            concat(layer.name, ": the weights of ", layer.small_groups, " of ",
                layer.weight.scales.numel(),
                " groups are too small for 16-bit scales; they are rounded with the smallest one"));
    }
    context.events.emit(layer.errors);
}

FinishedLayer round_layer(const PlannedLinear& layer, const quant::TunedValues& start)
{
    const at::NoGradGuard no_grad;
    const Scheme& scheme = layer.planned->scheme;
    const quant::Codec& codec = quant::codec_for(scheme);
    quant::check_weight(layer.linear->weight, scheme, layer.linear->name);
    const at::Tensor original = layer.linear->weight;
    const bool is_wide = original.scalar_type() == at::kDouble;
    return finish_layer(layer, original,
        codec.encode(original.to(is_wide ? at::kDouble : at::kFloat), scheme, start));
}

BlockResult round_block(RunContext& context, model::DecoderBlock& block, const BlockInputs& inputs,
    const Plan& plan, const Recipe& recipe)
{
    const Stopwatch watch;
    std::vector<PlannedLinear> layers = planned_linears(block, plan);
    BlockResult result;
    result.kept = set_apart(layers, inputs);
    context.events.emit(BlockStarted{block.index, static_cast<int64_t>(layers.size()), 0});
    const std::vector<at::Tensor> maxima = fused_maxima(layers);
    for (std::size_t i = 0; i < layers.size(); ++i) {
        context.checkpoint();
        LayerStatistics statistics;
        statistics.importance = known_importance(inputs, layers[i].linear->name);
        statistics.tensor_max = maxima[i];
        result.layers.push_back(
            round_layer(layers[i], start_values(layers[i], recipe, statistics)));
        report_layer(context, result.layers.back());
    }
    report_kept(context, block.index, result.kept);
    result.summary.block = block.index;
    result.summary.seconds = watch.seconds();
    context.events.emit(result.summary);
    return result;
}

} // namespace bitsmith::tune
