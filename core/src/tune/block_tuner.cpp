// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/block_tuner.h"

#include "base/text.h"
#include "base/timing.h"
#include "tune/cache_rounding.h"
#include "tune/compensation.h"
#include "tune/input_importance.h"
#include "tune/kept_layers.h"
#include "tune/layer_errors.h"
#include "tune/numeric_check.h"
#include "tune/position_weights.h"
#include "tune/quantized_linear.h"
#include "tune/rtn.h"
#include "tune/smoothing.h"
#include "tune/tuning_loop.h"
#include "tune/wide_block.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace bitsmith::tune {

namespace {

/// Sets a hook on each layer for the lifetime of the result; without hooks, on none.
template <class Hooks>
std::deque<model::LinearHookScope> hooked(const std::vector<PlannedLinear>& layers, Hooks& hooks)
{
    std::deque<model::LinearHookScope> scopes;
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        scopes.emplace_back(*layers[i].linear, hooks[i]);
    }
    return scopes;
}

/// One run of tune_block with calibration data.
class BlockTuner
{
public:
    BlockTuner(RunContext& context, model::DecoderBlock& block, const model::BlockShared& shared,
        const BlockInputs& inputs, const Recipe& recipe)
        : context_(context)
        , block_(block)
        , shared_(shared)
        , inputs_(inputs)
        , recipe_(recipe)
        , chain_(recipe.enable_quanted_input && inputs.quantized.defined() ? inputs.quantized
                                                                           : inputs.reference)
        , micro_batch_(std::max<int64_t>(1, recipe.batch_size))
    {
        const std::vector<model::BlockLinear> linears = block.linears();
        if (!linears.empty()) {
            device_ = linears.front().linear->weight.device();
        }
    }

    BlockResult run(std::vector<PlannedLinear> layers);

private:
    at::Tensor forward(const at::Tensor& hidden) const;
    bool widen();
    bool widen_after(const NotFinite& found);
    void narrow();
    at::Tensor finite_forward(const at::Tensor& hidden, at::ScalarType stored);
    at::Tensor advance(const at::Tensor& chain, bool in_place);
    void compute_reference(const std::vector<PlannedLinear>& layers);
    bool knows_importance(const std::vector<PlannedLinear>& layers) const;
    bool measures_on_original_path(const std::vector<PlannedLinear>& layers) const;
    void weigh_next(int64_t first, int64_t count);
    void measure_inputs(const std::vector<PlannedLinear>& layers);
    void smooth(const std::vector<PlannedLinear>& layers);
    std::vector<at::Tensor> input_maxima(const std::vector<PlannedLinear>& layers);
    void find_maxima(const std::vector<PlannedLinear>& layers);
    std::vector<at::Tensor> input_importance(const std::vector<PlannedLinear>& layers);
    CompensationTask compensation(const std::vector<PlannedLinear>& layers);
    void find_starts(const std::vector<PlannedLinear>& layers);
    void tune(const std::vector<PlannedLinear>& layers);
    void quantize(const std::vector<PlannedLinear>& layers);
    void finish_layers(const std::vector<PlannedLinear>& layers);
    void measure_rounding(const std::vector<PlannedLinear>& layers);
    void measure_outputs(std::vector<PlannedLinear>& layers);
    bool keep_failing(std::vector<PlannedLinear>& layers, const NotFinite& found);
    void compute_quantized();
    void summarize();
    /// Samples on which the losses of the summary are taken.
    at::Tensor judged_samples() const;
    at::Tensor chain_rows(const at::Tensor& samples) const;
    double loss_on(const at::Tensor& samples, const at::Tensor& outputs) const;

    RunContext& context_;
    model::DecoderBlock& block_;
    const model::BlockShared& shared_;
    const BlockInputs& inputs_;
    Recipe recipe_;
    const at::Tensor chain_; // what the quantized block sees
    int64_t micro_batch_;
    c10::Device device_ = c10::kCPU;
    std::optional<WideBlock> wide_; // when the block's own element type is too narrow
    double largest_output_ = 0; // of the last advance
    at::Tensor position_weights_; // or undefined
    std::vector<InputImportanceHook> seen_; // of the layers before smoothing; empty: not measured
    std::vector<WeightFactors> factors_; // of the layers
    std::vector<quant::TunedValues> starts_; // of the layers
    std::vector<std::unique_ptr<FusedWeight>> weights_;
    std::vector<at::Tensor> originals_; // as long as the errors of outputs are wanted
    TuningOutcome outcome_;
    BlockResult result_;
};

at::Tensor BlockTuner::forward(const at::Tensor& hidden) const
{
    return wide_ ? wide_->forward(hidden) : block_.forward(hidden, shared_);
}

/// False: the block computes in fp32 already.
bool BlockTuner::widen()
{
    if (wide_ || !WideBlock::is_narrow(block_)) {
        return false;
    }
    wide_.emplace(block_, chain_.size(1));
    return true;
}

bool BlockTuner::widen_after(const NotFinite& found)
{
    const bool is_wider = widen();
    if (is_wider) {
        context_.events.warn("numeric_precision",
            concat("block ", block_.index, ": ", found.tensor,
                " is not finite in 16 bits; the block computes in fp32"));
    }
    return is_wider;
}

void BlockTuner::narrow()
{
    if (wide_) {
        wide_->narrow();
        wide_.reset();
    }
}

/// The block's outputs in the element type they are kept in. Throws NumericFailure with the first
/// tensor that is not finite, unless fp32 helps.
at::Tensor BlockTuner::finite_forward(const at::Tensor& hidden, at::ScalarType stored)
{
    while (true) {
        at::Tensor output = forward(hidden).to(stored);
        const double largest = largest_magnitude(output);
        if (std::isfinite(largest)) {
            largest_output_ = std::max(largest_output_, largest);
            return output;
        }
        const NotFinite found = first_not_finite(block_, [&] { forward(hidden); });
        if (!widen_after(found)) {
            fail(ErrorCode::NumericFailure, "the outputs of a block are not finite",
                {{"block", std::to_string(block_.index)}, {"tensor", found.tensor},
                    {"element type", c10::toString(stored)}},
                "the model may overflow on this calibration text; take other text, or keep the "
                "layer at 16 bits");
        }
    }
}

at::Tensor BlockTuner::advance(const at::Tensor& chain, bool in_place)
{
    const at::NoGradGuard no_grad;
    largest_output_ = 0;
    at::Tensor outputs = in_place ? chain : at::empty_like(chain);
    for (int64_t first = 0; first < chain.size(0); first += micro_batch_) {
        context_.checkpoint();
        const int64_t count = std::min(micro_batch_, chain.size(0) - first);
        const at::Tensor hidden = chain.narrow(0, first, count).to(device_);
        weigh_next(first, count);
        outputs.narrow(0, first, count).copy_(finite_forward(hidden, chain.scalar_type()));
    }
    return outputs;
}

/// Whether the caller says of every layer what its input channels carry.
bool BlockTuner::knows_importance(const std::vector<PlannedLinear>& layers) const
{
    return std::ranges::all_of(layers, [this](const PlannedLinear& layer) {
        return known_importance(inputs_, layer.linear->name).defined();
    });
}

/// Without steps, statistics of the inputs come with the reference outputs, for no forward of their
/// own, where the weights of positions are known before these are.
bool BlockTuner::measures_on_original_path(const std::vector<PlannedLinear>& layers) const
{
    return recipe_.iters == 0 && recipe_.objective == Objective::Mse
        && ((recipe_.start == Start::Search && !knows_importance(layers))
            || wants_smoothing(recipe_, layers));
}

/// Which samples statistics see next.
void BlockTuner::weigh_next(int64_t first, int64_t count)
{
    for (InputImportanceHook& hook : seen_) {
        hook.set_token_weights(
            position_weights_.defined() ? position_weights_.narrow(0, first, count) : at::Tensor());
    }
}

void BlockTuner::compute_reference(const std::vector<PlannedLinear>& layers)
{
    // Compensation needs the inputs again.
    const bool is_used =
        chain_.is_alias_of(inputs_.reference) || recipe_.start == Start::Compensated;
    const std::string inputs = concat("inputs of block ", block_.index);
    const double largest_input = require_finite(inputs_.reference, inputs);
    if (!chain_.is_alias_of(inputs_.reference)) {
        require_finite(chain_, inputs + " on the quantized path");
    }
    {
        if (measures_on_original_path(layers)) {
            position_weights_ = inputs_.mask;
            seen_.assign(layers.size(), InputImportanceHook(/*wants_magnitudes=*/true));
        }
        const auto hooks = hooked(layers, seen_);
        result_.reference_outputs = advance(inputs_.reference, inputs_.reuse && !is_used);
    }
    if (wide_) {
        seen_.clear(); // what overflowed is among them
    }
    if (largest_input <= kHalfMax && largest_output_ > kHalfMax) {
        context_.events.warn("fp16_overflow",
            concat("block ", block_.index, " has outputs up to ", largest_output_,
                ", beyond fp16; run the exported model in bf16"));
    }
    position_weights_ = recipe_.objective == Objective::Fisher
        ? inputs_.position_weights
        : position_weights(result_.reference_outputs, inputs_.mask, recipe_.objective);
}

/// Largest inputs of layers whose activations have calibrated scales: those of the original block on
/// what the quantized one will see. An expert that no token reached gets that of its fellows.
std::vector<at::Tensor> BlockTuner::input_maxima(const std::vector<PlannedLinear>& layers)
{
    std::vector<at::Tensor> maxima(layers.size());
    const bool is_needed = std::any_of(layers.begin(), layers.end(),
        [](const PlannedLinear& layer) { return layer.planned->scheme.needs_input_max(); });
    if (!is_needed) {
        return maxima;
    }
    const at::NoGradGuard no_grad;
    std::vector<InputMaxHook> hooks(layers.size());
    const auto scopes = hooked(layers, hooks);
    for (int64_t first = 0; first < chain_.size(0); first += micro_batch_) {
        context_.checkpoint();
        const int64_t count = std::min(micro_batch_, chain_.size(0) - first);
        forward(chain_.narrow(0, first, count).to(device_));
    }
    std::map<std::string, at::Tensor> of_unit;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        if (const at::Tensor& own = hooks[i].largest(); own.defined()) {
            at::Tensor& largest = of_unit[layers[i].unit];
            largest = largest.defined() ? at::maximum(largest, own) : own;
        }
    }
    for (std::size_t i = 0; i < layers.size(); ++i) {
        if (layers[i].planned->scheme.needs_input_max()) {
            // Fused layers see the same input, and runtimes have one scale for them.
            maxima[i] = layers[i].unit.empty() ? hooks[i].largest() : of_unit[layers[i].unit];
        }
    }
    return maxima;
}

/// How large inputs and fused weights are. From here on layers round their inputs.
void BlockTuner::find_maxima(const std::vector<PlannedLinear>& layers)
{
    const std::vector<at::Tensor> maxima = input_maxima(layers), fused = fused_maxima(layers);
    starts_.clear();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        quant::TunedValues& start = starts_.emplace_back();
        start.input_max = maxima[i];
        start.tensor_max = fused[i];
        set_activations(*layers[i].linear, layers[i].planned->scheme, maxima[i]);
    }
}

/// What the layers' inputs carry in the original block, on as many tokens of what the quantized one
/// will see as settle it.
void BlockTuner::measure_inputs(const std::vector<PlannedLinear>& layers)
{
    const at::NoGradGuard no_grad;
    seen_.assign(layers.size(), InputImportanceHook(/*wants_magnitudes=*/true));
    const auto hooks = hooked(layers, seen_);
    const int64_t wanted = (kStatisticsTokens + chain_.size(1) - 1) / chain_.size(1);
    const int64_t samples = std::min(chain_.size(0), wanted);
    for (int64_t first = 0; first < samples; first += micro_batch_) {
        context_.checkpoint();
        const int64_t count = std::min(micro_batch_, samples - first);
        weigh_next(first, count);
        forward(chain_.narrow(0, first, count).to(device_));
    }
}

/// Scales channels between layers; the block computes the same as before.
void BlockTuner::smooth(const std::vector<PlannedLinear>& layers)
{
    factors_.resize(layers.size());
    if (!wants_smoothing(recipe_, layers)) {
        return;
    }
    const std::vector<model::FoldableInput> inputs = smoothable_inputs(context_, block_, layers);
    if (inputs.empty()) {
        return;
    }
    if (seen_.empty()) {
        measure_inputs(layers);
    }
    SmoothedBlock smoothed = smooth_inputs(context_, inputs, seen_, layers, recipe_.start);
    factors_ = std::move(smoothed.factors);
    result_.norms = std::move(smoothed.norms);
}

/// Which input channels of the layers carry much: as the caller knows it, otherwise as measured.
std::vector<at::Tensor> BlockTuner::input_importance(const std::vector<PlannedLinear>& layers)
{
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> importance;
    for (const PlannedLinear& layer : layers) {
        importance.push_back(known_importance(inputs_, layer.linear->name));
    }
    if (seen_.empty() && !knows_importance(layers)) {
        measure_inputs(layers);
    }
    for (std::size_t i = 0; i < layers.size(); ++i) {
        importance[i] = importance[i].defined() ? importance[i] : seen_[i].importance();
        const at::Tensor& columns = factors_[i].columns; // by which smoothing divided the inputs
        if (importance[i].defined() && columns.defined()) {
            importance[i] = importance[i] / columns.square().to(importance[i].device());
        }
    }
    return importance;
}

/// The block is in its own element type from here on.
CompensationTask BlockTuner::compensation(const std::vector<PlannedLinear>& layers)
{
    find_maxima(layers);
    narrow();
    return {block_, shared_, inputs_.reference, chain_, position_weights_, inputs_.holdout,
        micro_batch_, device_, starts_};
}

/// What the layers start with.
void BlockTuner::find_starts(const std::vector<PlannedLinear>& layers)
{
    if (recipe_.start == Start::Compensated) {
        starts_ = compensated_starts(context_, compensation(layers), layers);
        return;
    }
    const std::vector<at::Tensor> importance = recipe_.start == Start::Search
        ? input_importance(layers)
        : std::vector<at::Tensor>(layers.size());
    find_maxima(layers);
    for (std::size_t i = 0; i < layers.size(); ++i) {
        context_.checkpoint();
        starts_[i] = start_values(
            layers[i], recipe_, {importance[i], starts_[i].input_max, starts_[i].tensor_max});
    }
}

void BlockTuner::tune(const std::vector<PlannedLinear>& layers)
{
    std::deque<model::LinearHookScope> hooks;
    TuningTask task;
    task.block = block_.index;
    for (const PlannedLinear& layer : layers) {
        weights_.push_back(std::make_unique<FusedWeight>(
            *layer.linear, layer.planned->scheme, starts_[weights_.size()]));
        hooks.emplace_back(*layer.linear, *weights_.back());
        task.weights.push_back(weights_.back().get());
    }
    task.forward = [this](const at::Tensor& hidden) { return forward(hidden); };
    task.widen = [this] { return widen(); };
    task.target = [this](const at::Tensor& samples) {
        const at::Tensor& all = result_.reference_outputs;
        return all.index_select(0, samples.to(all.device())).to(device_);
    };
    task.inputs = chain_;
    task.position_weights = position_weights_;
    task.channel_weights = inputs_.channel_weights;
    task.outliers = outliers_of(recipe_);
    task.holdout = inputs_.holdout;
    task.micro_batch = micro_batch_;
    task.global_batch = micro_batch_ * std::max<int64_t>(1, recipe_.gradient_accumulate_steps);
    task.device = device_;
    outcome_ = run_tuning(context_, task, recipe_);
}

void BlockTuner::finish_layers(const std::vector<PlannedLinear>& layers)
{
    for (std::size_t i = 0; i < layers.size(); ++i) {
        context_.checkpoint();
        originals_.push_back(layers[i].linear->weight);
        if (weights_.empty()) {
            result_.layers.push_back(round_layer(layers[i], starts_[i]));
        } else {
            result_.layers.push_back(
                finish_layer(layers[i], originals_.back(), weights_[i]->tuned().freeze()));
            weights_[i].reset();
        }
    }
}

/// Gives the layer after which numbers are not finite, and its unit, their weights back. False: they
/// may not stay, or no quantized layer is the cause.
bool BlockTuner::keep_failing(std::vector<PlannedLinear>& layers, const NotFinite& found)
{
    if (has_factors(factors_)) {
        return false; // weights as they were no longer fit the norms and rows before them
    }
    const std::vector<KeptLayer> kept =
        keep_unit(layers, found.layer, found.tensor + " is not finite", inputs_);
    for (std::size_t i = layers.size(); i-- > 0;) {
        model::Linear& linear = *layers[i].linear;
        if (!contains(kept, linear.name)) {
            continue;
        }
        linear.weight = originals_[i].to(linear.weight.scalar_type());
        linear.input_transform.reset();
        const auto at = static_cast<std::ptrdiff_t>(i);
        layers.erase(layers.begin() + at);
        originals_.erase(originals_.begin() + at);
        factors_.erase(factors_.begin() + at);
        starts_.erase(starts_.begin() + at);
        result_.layers.erase(result_.layers.begin() + at);
    }
    result_.kept.insert(result_.kept.end(), kept.begin(), kept.end());
    return !kept.empty();
}

/// Errors of the layers' outputs, on as many tokens as the statistics take.
void BlockTuner::measure_outputs(std::vector<PlannedLinear>& layers)
{
    const at::NoGradGuard no_grad;
    const int64_t count = (OutputErrorHook::kTokens + chain_.size(1) - 1) / chain_.size(1);
    const at::Tensor hidden = chain_.narrow(0, 0, std::min(count, chain_.size(0))).to(device_);
    while (true) {
        std::deque<OutputErrorHook> statistics(originals_.begin(), originals_.end());
        const auto hooks = hooked(layers, statistics);
        const at::Tensor outputs = forward(hidden);
        for (std::size_t i = 0; i < layers.size(); ++i) {
            statistics[i].report(result_.layers[i].errors);
        }
        if (std::isfinite(largest_magnitude(outputs))) {
            return;
        }
        const NotFinite found = first_not_finite(block_, [&] { forward(hidden); });
        if (!widen_after(found) && !keep_failing(layers, found)) {
            return; // the error comes where the outputs are needed
        }
    }
}

void BlockTuner::compute_quantized()
{
    result_.quantized_outputs = recipe_.enable_quanted_input
        ? advance(chain_, inputs_.reuse && !chain_.is_alias_of(inputs_.reference))
        : result_.reference_outputs;
}

at::Tensor BlockTuner::judged_samples() const
{
    if (!outcome_.first_batch.empty()) {
        return at::tensor(outcome_.first_batch, at::kLong);
    }
    const int64_t tuning = std::max<int64_t>(inputs_.reference.size(0) - inputs_.holdout, 1);
    return at::arange(std::min(micro_batch_, tuning), at::kLong);
}

at::Tensor BlockTuner::chain_rows(const at::Tensor& samples) const
{
    return chain_.index_select(0, samples.to(chain_.device())).to(device_);
}

double BlockTuner::loss_on(const at::Tensor& samples, const at::Tensor& outputs) const
{
    const auto rows = [&](const at::Tensor& all) {
        return all.index_select(0, samples.to(all.device()));
    };
    const at::Tensor target = rows(result_.reference_outputs);
    const at::Tensor weights = position_weights_.defined() ? rows(position_weights_) : at::Tensor();
    const double elements =
        weights.defined() ? counted_elements(weights, target.size(-1)) : target.numel();
    return SquaredError(outputs, target, weights, outliers_of(recipe_), inputs_.channel_weights).sum
        / std::max(elements, 1.0);
}

/// The block with plainly rounded layers, not smoothed, as the figure to compare with. Where tuning
/// starts from there its first loss is the same.
void BlockTuner::measure_rounding(const std::vector<PlannedLinear>& layers)
{
    const bool is_smoothed = has_factors(factors_);
    if (recipe_.start == Start::MinMax && !is_smoothed && !outcome_.first_batch.empty()) {
        result_.summary.loss_rtn = outcome_.loss_start;
        return;
    }
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> kept;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        model::Linear& linear = *layers[i].linear;
        const Scheme& scheme = layers[i].planned->scheme;
        quant::TunedValues plain;
        if (!starts_.empty() && !is_smoothed) {
            plain.tensor_max = starts_[i].tensor_max;
        }
        const at::Tensor original = factors_[i].undo(originals_[i].to(at::kFloat));
        const at::Tensor rounded =
            factors_[i].apply(quant::codec_for(scheme).fake_quantize(original, scheme, plain));
        kept.push_back(std::exchange(linear.weight, rounded.to(linear.weight.scalar_type())));
    }
    const at::Tensor samples = judged_samples();
    result_.summary.loss_rtn =
        loss_on(samples, finite_forward(chain_rows(samples), chain_.scalar_type()));
    for (std::size_t i = 0; i < layers.size(); ++i) {
        at::Tensor& weight = layers[i].linear->weight;
        weight = kept[i].to(weight.scalar_type()); // wider if the block is by now
    }
}

void BlockTuner::summarize()
{
    BlockFinished& summary = result_.summary;
    summary.block = block_.index;
    summary.iterations = outcome_.iterations;
    summary.best_iteration = outcome_.best_iteration;
    const at::NoGradGuard no_grad;
    const at::Tensor samples = judged_samples();
    const at::Tensor outputs = recipe_.enable_quanted_input
        ? result_.quantized_outputs.index_select(0, samples.to(result_.quantized_outputs.device()))
        : forward(chain_rows(samples));
    summary.loss = loss_on(samples, outputs);
    if (!std::isfinite(summary.loss)) {
        fail(ErrorCode::NumericFailure, "the error of the quantized block is not finite",
            {{"block", std::to_string(block_.index)},
                {"step", std::to_string(outcome_.iterations)}});
    }
    summary.loss_start = outcome_.first_batch.empty() ? summary.loss : outcome_.loss_start;
}

void BlockTuner::quantize(const std::vector<PlannedLinear>& layers)
{
    find_starts(layers);
    if (recipe_.iters > 0 && !layers.empty()) {
        tune(layers);
    }
    if (outcome_.gave_up) {
        weights_.clear();
        recipe_.start = Start::Search;
        for (const PlannedLinear& layer : layers) {
            layer.linear->input_transform.reset(); // statistics are taken of inputs as they are
        }
        find_starts(layers);
    }
    finish_layers(layers);
}

BlockResult BlockTuner::run(std::vector<PlannedLinear> layers)
{
    const Stopwatch watch;
    result_.kept = set_apart(layers, inputs_);
    const int64_t iters = layers.empty() ? 0 : recipe_.iters;
    context_.events.emit(BlockStarted{block_.index, static_cast<int64_t>(layers.size()), iters});
    compute_reference(layers);
    result_.cache = round_cache(context_, block_, recipe_.static_kv_dtype, chain_, micro_batch_,
        [this](const at::Tensor& hidden) { forward(hidden.to(device_)); });
    smooth(layers);
    if (recipe_.start == Start::Compensated && iters == 0) {
        result_.layers = compensate_layers(context_, compensation(layers), layers, originals_);
    } else {
        quantize(layers);
    }
    measure_outputs(layers);
    measure_rounding(layers);
    originals_.clear();
    compute_quantized();
    summarize();
    narrow();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        result_.layers[i].errors.deviation = outcome_.deviation;
        result_.layers[i].factors = std::move(factors_[i]);
    }
    for (const FinishedLayer& layer : result_.layers) {
        report_layer(context_, layer);
    }
    report_kept(context_, block_.index, result_.kept);
    result_.summary.seconds = watch.seconds();
    context_.events.emit(result_.summary);
    return std::move(result_);
}

void check_inputs(const BlockInputs& inputs, const Recipe& recipe)
{
    const at::Tensor& reference = inputs.reference;
    BITSMITH_ASSERT(reference.dim() == 3);
    BITSMITH_ASSERT(!inputs.quantized.defined() || inputs.quantized.sizes() == reference.sizes());
    BITSMITH_ASSERT(!inputs.mask.defined()
        || inputs.mask.sizes() == at::IntArrayRef({reference.size(0), reference.size(1)}));
    const at::Tensor &positions = inputs.position_weights, &channels = inputs.channel_weights;
    const bool is_weighted = recipe.objective == Objective::Fisher;
    BITSMITH_ASSERT(positions.defined() == is_weighted && channels.defined() == is_weighted);
    BITSMITH_ASSERT(!is_weighted || positions.sizes() == reference.sizes().slice(0, 2));
    BITSMITH_ASSERT(!is_weighted || channels.sizes() == reference.sizes().slice(2));
    const bool needs_samples = recipe.iters > 0 || recipe.start == Start::Compensated;
    if (needs_samples && reference.size(0) <= inputs.holdout) {
        fail(ErrorCode::InvalidSpec, "there are no samples to tune on",
            {{"field", "recipe.nsamples"}, {"found", std::to_string(reference.size(0))},
                {"allowed", "more than the " + std::to_string(inputs.holdout) + " held out"}},
            "give more calibration text, or a shorter seqlen");
    }
}

} // namespace

BlockResult tune_block(RunContext& context, model::DecoderBlock& block,
    const model::BlockShared& shared, const BlockInputs& inputs, const Plan& plan,
    const Recipe& recipe)
{
    if (!inputs.reference.defined()) {
        if (recipe.iters > 0) {
            fail(ErrorCode::InvalidSpec, "tuning needs calibration data",
                {{"field", "recipe.iters"}, {"found", std::to_string(recipe.iters)}});
        }
        if (recipe.smoothing == Smoothing::Awq) {
            fail(ErrorCode::InvalidSpec, "smoothing needs calibration data",
                {{"field", "recipe.smoothing"}, {"found", std::string(enum_name(recipe.smoothing))},
                    {"allowed", "off, auto"}});
        }
        return round_block(context, block, inputs, plan, recipe);
    }
    check_inputs(inputs, recipe);
    return BlockTuner(context, block, shared, inputs, recipe).run(planned_linears(block, plan));
}

} // namespace bitsmith::tune
