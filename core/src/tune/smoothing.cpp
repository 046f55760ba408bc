// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/smoothing.h"

#include "base/text.h"
#include "model/norm.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace bitsmith::tune {

namespace {

constexpr int64_t kGrid = 20; ///< steps of α
constexpr int64_t kRows = 256; ///< of a reader, evenly spread, that settle which α is best

const PlannedLinear* find(const std::vector<PlannedLinear>& layers, const model::Linear* linear)
{
    const auto found = std::find_if(layers.begin(), layers.end(),
        [linear](const PlannedLinear& layer) { return layer.linear == linear; });
    return found == layers.end() ? nullptr : &*found;
}

/// The scales of one α. The geometric mean of the largest and the smallest is 1.
at::Tensor scales_for(const at::Tensor& magnitudes, double alpha)
{
    constexpr double kSmallest = 1e-4;
    const at::Tensor scales = magnitudes.pow(alpha).clamp_min(kSmallest);
    return scales / (scales.max() * scales.min()).sqrt();
}

/// What of a reader the errors of scales are taken on.
struct ReaderRows
{
    const Scheme& scheme;
    at::Tensor weight; ///< fp32 [rows, columns]
};

ReaderRows rows_of(const PlannedLinear& reader)
{
    const at::Tensor& weight = reader.linear->weight;
    const int64_t step = std::max<int64_t>(1, weight.size(0) / kRows);
    return {reader.planned->scheme, weight.slice(0, 0, std::nullopt, step).to(at::kFloat)};
}

/// Σ h (Ŵ/s - W)² of rows whose columns are scaled by s while they are rounded, plainly or in
/// searched ranges; h [columns].
double rounding_error(const ReaderRows& reader, const at::Tensor& scales,
    const at::Tensor& importance, bool is_searched)
{
    const quant::Codec& codec = quant::codec_for(reader.scheme);
    const at::Tensor scaled = reader.weight * scales;
    quant::TunedValues start;
    if (is_searched) {
        start.range = codec.search(scaled, reader.scheme, importance / scales.square(), {});
    }
    const at::Tensor rounded = codec.fake_quantize(scaled, reader.scheme, start) / scales;
    return at::dot((rounded - reader.weight).square_().sum(0), importance).item<double>();
}

/// What the rows of the layer before are multiplied by when its outputs are divided by `scales`.
at::Tensor row_factors(const model::FoldableInput& input, const at::Tensor& scales)
{
    at::Tensor factors = at::ones({input.layer->weight.size(0)}, scales.options());
    factors.narrow(0, input.first_row, scales.size(0)).copy_(scales.reciprocal());
    return factors;
}

/// The scales of smallest error; undefined when that is no scales at all.
at::Tensor best_scales(RunContext& context, const model::FoldableInput& input,
    const InputImportanceHook& seen, const std::vector<PlannedLinear>& layers, Start start)
{
    std::vector<ReaderRows> readers;
    for (const model::Linear* reader : input.readers) {
        readers.push_back(rows_of(*find(layers, reader)));
    }
    const auto error = [&](const at::Tensor& scales, bool is_searched) {
        double sum = 0;
        for (const ReaderRows& reader : readers) {
            sum += rounding_error(reader, scales, seen.importance(), is_searched);
        }
        return sum;
    };
    const at::Tensor magnitudes = seen.magnitudes() / seen.weight();
    const at::Tensor none = at::ones_like(magnitudes);
    double smallest = error(none, false);
    at::Tensor best;
    for (int64_t i = 1; i < kGrid; ++i) {
        context.checkpoint();
        const double alpha = static_cast<double>(i) / static_cast<double>(kGrid);
        const at::Tensor scales = representable_scales(input, scales_for(magnitudes, alpha));
        if (const double found = error(scales, false); found < smallest) {
            smallest = found;
            best = scales;
        }
    }
    const bool is_lost =
        best.defined() && start == Start::Search && error(best, true) >= error(none, true);
    return is_lost ? at::Tensor() : best;
}

} // namespace

at::Tensor WeightFactors::apply(const at::Tensor& weight) const
{
    const at::Tensor scaled = columns.defined() ? weight * columns.to(weight.device()) : weight;
    return rows.defined() ? scaled * rows.to(weight.device()).unsqueeze(1) : scaled;
}

at::Tensor WeightFactors::undo(const at::Tensor& weight) const
{
    const at::Tensor scaled = columns.defined() ? weight / columns.to(weight.device()) : weight;
    return rows.defined() ? scaled / rows.to(weight.device()).unsqueeze(1) : scaled;
}

bool wants_smoothing(const Recipe& recipe, const std::vector<PlannedLinear>& layers)
{
    return recipe.smoothing == Smoothing::Awq
        || (recipe.smoothing == Smoothing::Auto
            && std::ranges::none_of(layers, [](const PlannedLinear& layer) {
                   return layer.planned->scheme.quantizes_activations();
               }));
}

bool has_factors(const std::vector<WeightFactors>& layers)
{
    return std::any_of(layers.begin(), layers.end(),
        [](const WeightFactors& factors) { return factors.defined(); });
}

std::vector<model::FoldableInput> smoothable_inputs(
    RunContext& context, model::DecoderBlock& block, const std::vector<PlannedLinear>& layers)
{
    std::vector<model::FoldableInput> inputs;
    std::vector<std::string> kept;
    for (model::FoldableInput& input : block.foldable_inputs()) {
        std::vector<model::Linear*> changed = input.readers;
        if (input.layer != nullptr) {
            changed.push_back(input.layer);
        }
        const auto stays = std::find_if(changed.begin(), changed.end(),
            [&](const model::Linear* linear) { return find(layers, linear) == nullptr; });
        if (stays == changed.end()) {
            inputs.push_back(std::move(input));
        } else {
            kept.push_back((*stays)->name);
        }
    }
    if (!kept.empty()) {
        context.events.warn("smoothing",
            concat("block ", block.index, ": ", kept.size(),
                " inputs are not smoothed, since layers at them are not quantized: ", kept.front(),
                kept.size() > 1 ? " and others" : ""));
    }
    return inputs;
}

at::Tensor representable_scales(const model::FoldableInput& input, const at::Tensor& scales)
{
    const at::NoGradGuard no_grad;
    if (input.norm.norm == nullptr) {
        return scales;
    }
    model::Norm norm = *input.norm.norm;
    const at::Tensor before = norm.weight().to(at::kFloat);
    norm.put_stored(norm.to_stored(before / scales));
    const at::Tensor exact = before / norm.weight().to(at::kFloat);
    // Zeros stay zeros, and what left the range of the element type is left alone.
    return at::where(exact.isfinite().logical_and(exact > 0), exact, at::ones_like(exact));
}

void fold_scales(const model::FoldableInput& input, const at::Tensor& scales)
{
    const at::NoGradGuard no_grad;
    const auto replace = [](model::Linear& linear, const WeightFactors& factors) {
        linear.weight = factors.apply(linear.weight).to(linear.weight.scalar_type());
    };
    for (model::Linear* reader : input.readers) {
        replace(*reader, {scales, {}});
    }
    if (input.norm.norm != nullptr) {
        model::Norm& norm = *input.norm.norm;
        norm.put_stored(norm.to_stored(norm.weight().to(at::kFloat) / scales));
    } else {
        replace(*input.layer, {{}, row_factors(input, scales)});
    }
}

SmoothedBlock smooth_inputs(RunContext& context, const std::vector<model::FoldableInput>& inputs,
    const std::vector<InputImportanceHook>& seen, const std::vector<PlannedLinear>& layers,
    Start start)
{
    const at::NoGradGuard no_grad;
    SmoothedBlock smoothed;
    smoothed.factors.resize(layers.size());
    const auto index_of = [&](const model::Linear* linear) {
        return static_cast<std::size_t>(find(layers, linear) - layers.data());
    };
    for (const model::FoldableInput& input : inputs) {
        const InputImportanceHook& carried = seen[index_of(input.readers.front())];
        if (!carried.importance().defined()) {
            continue; // an expert that no token reached
        }
        const at::Tensor scales = best_scales(context, input, carried, layers, start);
        if (!scales.defined()) {
            continue;
        }
        fold_scales(input, scales);
        for (const model::Linear* reader : input.readers) {
            smoothed.factors[index_of(reader)].columns = scales;
        }
        if (input.norm.norm != nullptr) {
            model::Norm& norm = *input.norm.norm;
            smoothed.norms[input.norm.name + ".weight"] = norm.to_stored(norm.weight()).cpu();
        } else {
            smoothed.factors[index_of(input.layer)].rows = row_factors(input, scales);
        }
    }
    return smoothed;
}

} // namespace bitsmith::tune
