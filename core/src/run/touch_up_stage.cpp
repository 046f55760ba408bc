// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/touch_up_stage.h"

#include "base/text.h"
#include "eval/divergence.h"
#include "run/block_passes.h"
#include "run/tune_stage.h"
#include "tune/batch_sampler.h"
#include "tune/cache_rounding.h"
#include "tune/layer_errors.h"
#include "tune/quantized_linear.h"
#include "tune/touched_layer.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <map>

namespace bitsmith {

namespace {

constexpr int64_t kWindowsPerStep = 4;
constexpr int64_t kChecks = 3; ///< held-out divergences in the course of a run, the first aside
/// Most layers of so few bits take more and larger steps; of at most so many, steps unasked.
constexpr int64_t kFewBits = 3, kMostBits = 4;

bool is_in_reach(const PlannedLayer& layer)
{
    return layer.block_index >= 0 && layer.scheme.is_quantized();
}

std::vector<quant::TunablePart> parts_of(const PlannedLayer& layer)
{
    return is_in_reach(layer) ? quant::codec_for(layer.scheme).tunable_parts(layer.scheme)
                              : std::vector<quant::TunablePart>();
}

struct Pace
{
    int64_t steps; ///< a multiple of kChecks
    double rate; ///< of Adam, at the start
};

/// Few bits in most layers leave more to repair: at 4 bits a second dozen of steps gained 2 % of
/// the divergence. Scales in codes need it: with NVFP4, a model of 656 thousand weights gained 6 % in
/// one dozen and 12 % in two. Scales and minima that nearly cancel each other do not bear the larger
/// steps: Q2_K_S went from 0.581 by 0.640 to 0.580 in two dozen, and in smaller ones to 0.568, 0.561,
/// 0.561.
Pace pace_for(const Plan& plan)
{
    int64_t all = 0, few = 0;
    bool has_codes = false, has_minima = false;
    for (const PlannedLayer& layer : plan.layers) {
        all += is_in_reach(layer) ? 1 : 0;
        few += is_in_reach(layer) && layer.scheme.bits <= kFewBits ? 1 : 0;
        const std::vector<quant::TunablePart> parts = parts_of(layer);
        for (const quant::TunablePart& part : parts) {
            has_codes = has_codes || part.numbers != nullptr;
        }
        has_minima = has_minima || parts.size() > 1;
    }
    const bool has_few = 2 * few > all;
    const bool goes_far = has_few && !has_minima;
    return {goes_far || has_codes ? 24 : 12, goes_far ? 3e-3 : 1e-3};
}

class TouchUp
{
public:
    TouchUp(RunContext& context, const model::CausalLm& model, RunFolder& folder,
        const calib::CalibrationSet& calibration)
        : context_(context)
        , model_(model)
        , folder_(folder)
        , calibration_(calibration)
        , pace_(pace_for(folder.plan()))
        , shared_(model.shared(calibration.ids.size(1)))
        , candidate_(model)
    {
        add_norm({&candidate_.final_norm_module(), model.spec().model_names.final_norm}, {});
        for (const PlannedLayer& layer : folder.plan().layers) {
            if (!parts_of(layer).empty()) {
                layers_.emplace(layer.name, tune::TouchedLayer(folder.load(layer.name)));
            }
        }
    }

    void run();

private:
    void add_norm(const model::BlockNorm& item, const quant::NamedNorms& smoothed);
    std::unique_ptr<model::DecoderBlock> load_block(int64_t index) const;
    void update_final_norm();
    at::Tensor rows(const at::Tensor& all, const at::Tensor& samples) const
    {
        return all.index_select(0, samples).to(model_.options().device());
    }
    std::vector<at::Tensor> forward(const at::Tensor& samples) const;
    double divergence(const at::Tensor& hidden, const at::Tensor& samples, at::Tensor* gradient);
    void backward(const std::vector<at::Tensor>& inputs, at::Tensor gradient);
    template <class Function>
    void over_factors(const Function& function);
    double held_out_divergence();
    void check(int64_t steps_done);
    std::map<std::string, at::Tensor> touched() const;

    RunContext& context_;
    const model::CausalLm& model_;
    RunFolder& folder_;
    const calib::CalibrationSet& calibration_;
    const Pace pace_;
    const model::BlockShared shared_;
    model::CausalLm candidate_; ///< with the final norm of the present factors
    at::Tensor original_; ///< hidden after the last original block, CPU
    std::map<std::string, tune::TouchedLayer> layers_;
    std::map<std::string, tune::TouchedNorm> norms_;
    double best_ = std::numeric_limits<double>::infinity();
    std::map<std::string, at::Tensor> best_factors_;
};

/// Starts at the weight in `smoothed`, otherwise at the model's.
void TouchUp::add_norm(const model::BlockNorm& item, const quant::NamedNorms& smoothed)
{
    model::Norm norm = *item.norm;
    if (const auto found = smoothed.find(item.name + ".weight"); found != smoothed.end()) {
        norm.put_stored(found->second);
    }
    norms_.emplace(item.name, tune::TouchedNorm(norm.weight(), norm.offset(), norm.stored_type()));
}

void put_weight(model::Norm& norm, const tune::TouchedNorm& touched)
{
    norm.weight() = touched.weight().to(norm.weight().options());
}

void TouchUp::update_final_norm()
{
    put_weight(candidate_.final_norm_module(), norms_.at(model_.spec().model_names.final_norm));
}

/// Calls function(name, factors) for everything that is touched.
template <class Function>
void TouchUp::over_factors(const Function& function)
{
    for (auto& [name, layer] : layers_) {
        for (tune::TouchedPart& part : layer.parts()) {
            function(concat(name, '.', part.part().part.name), part.factors());
        }
    }
    for (auto& [name, norm] : norms_) {
        function(name, norm.factors());
    }
}

std::unique_ptr<model::DecoderBlock> TouchUp::load_block(int64_t index) const
{
    const at::NoGradGuard no_grad;
    auto block = model_.load_block(index);
    for (const model::BlockLinear& item : block->linears()) {
        if (!folder_.contains(item.linear->name)) {
            continue;
        }
        quant::QuantizedWeight weight = folder_.load(item.linear->name);
        const auto touched = layers_.find(item.linear->name);
        if (touched != layers_.end()) {
            weight = touched->second.apply(std::move(weight));
        }
        tune::put_quantized(*item.linear, weight);
    }
    for (const model::BlockNorm& item : block->norms()) {
        if (const auto touched = norms_.find(item.name); touched != norms_.end()) {
            put_weight(*item.norm, touched->second);
        }
    }
    tune::set_cache(*block, folder_.cache(index));
    return block;
}

/// Inputs of every block, and the output of the last.
std::vector<at::Tensor> TouchUp::forward(const at::Tensor& samples) const
{
    return block_inputs(context_, model_, calibration_.ids.index_select(0, samples), shared_,
        [this](int64_t i) { return load_block(i); });
}

/// Mean divergence over the positions that count, and its gradient where that is wanted; the final
/// norm's goes to its factors.
double TouchUp::divergence(
    const at::Tensor& hidden, const at::Tensor& samples, at::Tensor* gradient)
{
    const at::Tensor original = rows(original_, samples).flatten(0, 1);
    const at::Tensor mask = rows(calibration_.mask, samples).flatten().to(at::kFloat);
    const double counted = std::max(mask.sum().item<double>(), 1.0);
    const auto loss = [&](const at::Tensor& part, int64_t first) {
        at::Tensor expected;
        {
            const at::NoGradGuard no_grad;
            expected = model_.logits(original.narrow(0, first, part.size(0))).log_softmax(-1);
        }
        const at::Tensor found = candidate_.logits(part).log_softmax(-1);
        const at::Tensor each = (expected.exp() * (expected - found)).sum(-1);
        return (each * mask.narrow(0, first, part.size(0))).sum() / counted;
    };
    at::Tensor& norm = candidate_.final_norm_module().weight();
    norm = norm.detach().requires_grad_(gradient != nullptr);
    const double sum = sum_over_positions(hidden, loss, gradient);
    if (gradient != nullptr) {
        norms_.at(model_.spec().model_names.final_norm).add_gradient(norm.grad());
        norm = norm.detach();
    }
    return sum;
}

/// From the last block to the first; each is computed again with gradients.
void TouchUp::backward(const std::vector<at::Tensor>& inputs, at::Tensor gradient)
{
    for (int64_t i = model_.n_blocks() - 1; i >= 0; --i) {
        context_.checkpoint();
        const auto block = load_block(i);
        std::vector<model::Linear*> touched;
        for (const model::BlockLinear& item : block->linears()) {
            if (layers_.contains(item.linear->name)) {
                item.linear->weight.requires_grad_();
                touched.push_back(item.linear);
            }
        }
        const std::vector<model::BlockNorm> norms = block->norms();
        for (const model::BlockNorm& item : norms) {
            item.norm->weight().requires_grad_();
        }
        gradient = backward_through(*block, shared_, inputs[static_cast<std::size_t>(i)], gradient);
        for (const model::Linear* linear : touched) {
            if (linear->weight.grad().defined()) { // not for an expert that no token reached
                layers_.at(linear->name)
                    .add_gradient(linear->weight.grad(), linear->weight.detach());
            }
        }
        for (const model::BlockNorm& item : norms) {
            norms_.at(item.name).add_gradient(item.norm->weight().grad());
        }
    }
}

double TouchUp::held_out_divergence()
{
    const int64_t samples = calibration_.ids.size(0);
    const int64_t count = std::max<int64_t>(
        1, std::min(calibration_.holdout > 0 ? calibration_.holdout : kWindowsPerStep, samples));
    double sum = 0;
    for (int64_t first = samples - count; first < samples; first += kWindowsPerStep) {
        const int64_t n = std::min(kWindowsPerStep, samples - first);
        const at::Tensor part = at::arange(first, first + n, at::kLong);
        sum += divergence(forward(part).back(), part, nullptr) * static_cast<double>(n);
    }
    return sum / static_cast<double>(count);
}

void TouchUp::check(int64_t steps_done)
{
    if (steps_done % (pace_.steps / kChecks) != 0) {
        return;
    }
    const double found = held_out_divergence();
    context_.events.emit(
        MetricReady{concat("touch-up, step ", steps_done), "held_out_kld", found, {}});
    if (!(found < best_)) {
        return;
    }
    best_ = found;
    over_factors([this](const std::string& name, tune::Factors& factors) {
        best_factors_[name] = factors.values().clone();
    });
}

void TouchUp::run()
{
    {
        const at::NoGradGuard no_grad;
        const auto load = [this](int64_t i) {
            auto block = model_.load_block(i);
            const quant::NamedNorms smoothed = folder_.norms(i);
            for (const model::BlockNorm& item : block->norms()) {
                add_norm(item, smoothed);
            }
            return block;
        };
        original_ = eval::run_blocks(
            context_, model_, calibration_.ids, load, 0, model_.n_blocks(), Stage::TouchUp);
    }
    const int64_t samples = calibration_.ids.size(0) - calibration_.holdout;
    tune::BatchSampler sampler(tune::own_shuffle(context_.random("touch-up")), samples,
        std::min(samples, kWindowsPerStep));
    check(0);
    for (int64_t i = 0; i < pace_.steps; ++i) {
        const at::Tensor batch = at::tensor(sampler.next(), at::kLong);
        const std::vector<at::Tensor> hidden = forward(batch);
        at::Tensor gradient;
        const double loss = divergence(hidden.back(), batch, &gradient);
        if (!std::isfinite(loss)) {
            fail(ErrorCode::NumericFailure, "the divergence of the quantized model is not finite",
                {{"step", std::to_string(i)}}, "Use --touch-up off");
        }
        backward(hidden, std::move(gradient));
        const auto steps = static_cast<double>(pace_.steps);
        const double left = 1 - static_cast<double>(i) / steps;
        over_factors([&](const std::string&, tune::Factors& factors) {
            // All steps together go half of rate · steps far: just to where the next number begins.
            const double rate = std::max(pace_.rate, factors.spacing() / steps);
            factors.step(rate * left, i + 1);
        });
        update_final_norm();
        context_.events.emit(StageProgress{Stage::TouchUp, i + 1, pace_.steps, "steps"});
        check(i + 1);
    }
    over_factors([this](const std::string& name, tune::Factors& factors) {
        factors.set_values(best_factors_.at(name));
    });
    folder_.publish_touched_up(touched());
}

/// What is written: parts of layers and weights of the present factors.
std::map<std::string, at::Tensor> TouchUp::touched() const
{
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [name, layer] : layers_) {
        for (const tune::TouchedPart& part : layer.parts()) {
            tensors.emplace(concat(name, '.', part.part().part.name), part.stored());
        }
    }
    for (const auto& [name, norm] : norms_) {
        tensors.emplace(name + ".weight", norm.stored());
    }
    return tensors;
}

/// The errors of the layers' weights are those of the touched-up scales from here on.
void emit_touched_errors(RunContext& context, const model::CausalLm& model, const RunFolder& folder)
{
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        context.checkpoint();
        const auto block = model.load_block(i);
        for (const model::BlockLinear& item : block->linears()) {
            const PlannedLayer* planned = folder.plan().find(item.linear->name);
            if (planned == nullptr || parts_of(*planned).empty()) {
                continue;
            }
            const quant::QuantizedWeight weight = folder.load(planned->name);
            LayerFinished errors;
            errors.block = i;
            errors.layer = planned->name;
            errors.scheme = scheme_name(planned->scheme);
            errors.bits = effective_bits(planned->scheme, planned->columns);
            tune::measure_weight(folder.factors(planned->name).apply(item.linear->weight),
                quant::codec_for(weight.scheme).decode(weight), errors);
            context.events.emit(errors);
        }
    }
}

void warn_of_fixed_scales(RunContext& context, const Plan& plan)
{
    int64_t fixed = 0, all = 0;
    for (const PlannedLayer& layer : plan.layers) {
        all += is_in_reach(layer) ? 1 : 0;
        fixed += is_in_reach(layer) && parts_of(layer).empty() ? 1 : 0;
    }
    if (fixed > 0) {
        context.events.warn("touch_up",
            concat("The touch-up left the scales of ", fixed, " of ", all,
                " layers as they were: they are powers of two, which no small step changes. It "
                "changed ",
                fixed < all ? "the other layers and " : "", "the norms."));
    }
}

} // namespace

bool wants_touch_up(const Recipe& recipe, const Plan& plan)
{
    if (recipe.touch_up == TouchUpMode::Off) {
        return false;
    }
    int64_t all = 0, low = 0;
    for (const PlannedLayer& layer : plan.layers) {
        all += is_in_reach(layer) ? 1 : 0;
        low += layer.scheme.bits <= kMostBits && !parts_of(layer).empty() ? 1 : 0;
    }
    return all > 0
        && (recipe.touch_up == TouchUpMode::On
            || ((recipe.iters > 0 || recipe.start == Start::Compensated) && 2 * low > all));
}

void run_touch_up_stage(RunContext& context, const model::CausalLm& model, RunFolder& folder,
    const calib::CalibrationSet& calibration)
{
    if (!folder.is_touched_up()) {
        TouchUp(context, model, folder, calibration).run();
    }
    warn_of_fixed_scales(context, folder.plan());
    emit_touched_errors(context, model, folder);
}

} // namespace bitsmith
