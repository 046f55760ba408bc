// SPDX-License-Identifier: GPL-3.0-or-later
#include "tune/tuning_loop.h"

#include "base/text.h"
#include "tune/batch_sampler.h"
#include "tune/numeric_check.h"
#include "tune/sign_sgd.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

namespace bitsmith::tune {

namespace {

/// Held-out losses taken in the course of one run.
constexpr int64_t kHoldoutChecks = 5;
/// Steps after which it is looked whether gradients were finite: looking waits for the device.
constexpr int64_t kGradientChecks = 16;

at::Tensor rows_of(const at::Tensor& all, const at::Tensor& samples)
{
    return all.index_select(0, samples.to(all.device()));
}

/// Part of a batch as a forward takes it.
struct MicroBatch
{
    at::Tensor samples; ///< int64 [n], CPU
    at::Tensor hidden; ///< on the task's device
    at::Tensor target;
    at::Tensor weights; ///< of positions, or undefined

    MicroBatch(const TuningTask& task, std::span<const int64_t> numbers)
        : samples(at::tensor(at::ArrayRef<int64_t>(numbers.data(), numbers.size()), at::kLong))
        , hidden(rows_of(task.inputs, samples).to(task.device))
        , target(task.target(samples))
        , weights(task.position_weights.defined() ? rows_of(task.position_weights, samples)
                                                  : at::Tensor())
    { }
};

SquaredError error_of(const TuningTask& task, const at::Tensor& output, const MicroBatch& batch)
{
    return {output, batch.target, batch.weights, task.outliers, task.channel_weights};
}

template <class Function>
void over_micro_batches(
    const std::vector<int64_t>& samples, int64_t micro_batch, const Function& function)
{
    const std::span<const int64_t> all(samples);
    const std::size_t step = static_cast<std::size_t>(micro_batch);
    for (std::size_t first = 0; first < all.size(); first += step) {
        function(all.subspan(first, std::min(step, all.size() - first)));
    }
}

/// Weight of all positions in a batch.
double counted_positions(const TuningTask& task, const std::vector<int64_t>& samples)
{
    if (!task.position_weights.defined()) {
        return static_cast<double>(samples.size())
            * static_cast<double>(task.inputs.size(task.inputs.dim() - 2));
    }
    return counted_elements(rows_of(task.position_weights, at::tensor(samples, at::kLong)), 1);
}

/// The best state seen. A state before the first step needs no copy.
class BestState
{
public:
    bool offer(double loss, int64_t iteration, const std::vector<FusedWeight*>& weights)
    {
        if (!(loss < loss_)) {
            return false;
        }
        loss_ = loss;
        iteration_ = iteration;
        values_.resize(weights.size());
        for (std::size_t i = 0; i < weights.size() && iteration > 0; ++i) {
            weights[i]->tuned().save(values_[i]);
        }
        return true;
    }

    void restore(const std::vector<FusedWeight*>& weights) const
    {
        for (std::size_t i = 0; i < weights.size(); ++i) {
            weights[i]->tuned().restore(iteration_ > 0 ? values_[i] : quant::TunedValues());
        }
    }

    double loss() const { return loss_; }
    int64_t iteration() const { return iteration_; }

private:
    double loss_ = std::numeric_limits<double>::infinity();
    int64_t iteration_ = 0;
    std::vector<quant::TunedValues> values_;
};

/// Mean squared error of the present state on `samples`, without gradients.
double measure_loss(
    const TuningTask& task, const std::vector<int64_t>& samples, int64_t micro_batch)
{
    const at::NoGradGuard no_grad;
    double sum = 0, elements = 1;
    const double positions = counted_positions(task, samples);
    over_micro_batches(samples, micro_batch, [&](std::span<const int64_t> numbers) {
        const MicroBatch batch(task, numbers);
        const at::Tensor output = task.forward(batch.hidden);
        elements = positions * static_cast<double>(output.size(-1));
        sum += error_of(task, output, batch).sum;
    });
    return sum / std::max(elements, 1.0);
}

/// One go at the steps of a recipe, from the start.
class TuningLoop
{
public:
    /// `rate`: factor of all step sizes.
    TuningLoop(RunContext& context, const TuningTask& task, const Recipe& recipe, double rate)
        : context_(context)
        , task_(task)
        , recipe_(recipe)
        , rate_(rate)
        , micro_batch_(task.micro_batch)
        , selection_(recipe.selection == Selection::Holdout && task.holdout == 0 ? Selection::Last
                                                                                 : recipe.selection)
    {
        for (const FusedWeight* weight : task.weights) {
            schedules_.emplace_back(recipe, weight->tuned().scheme());
        }
        held_out_.resize(static_cast<std::size_t>(task.holdout));
        std::iota(held_out_.begin(), held_out_.end(), task.inputs.size(0) - task.holdout);
    }

    TuningOutcome run();
    /// What became not finite, and when; the outcome of run is of no use then.
    const std::string& trouble() const { return trouble_; }

private:
    bool take_steps(TuningOutcome& outcome);
    Shuffle shuffle(int64_t samples, int64_t batch_size) const;
    double gradients(const std::vector<int64_t>& samples);
    double gradients_with_retry(const std::vector<int64_t>& samples);
    StepSizes sizes(std::size_t weight, int64_t iteration) const;
    void step(int64_t iteration);
    bool is_finite(double loss, int64_t iteration);
    void watch_gradients();
    bool had_finite_gradients(int64_t steps_done);
    void report(int64_t iteration, double loss);
    bool check_holdout(int64_t steps_done);
    bool has_stalled(int64_t iteration) const;

    RunContext& context_;
    const TuningTask& task_;
    const Recipe& recipe_;
    double rate_;
    int64_t micro_batch_;
    Selection selection_;
    std::vector<SignSchedule> schedules_;
    std::vector<int64_t> held_out_;
    BestState best_;
    double lowest_batch_loss_ = std::numeric_limits<double>::infinity();
    at::Tensor gradients_watched_; ///< [weights]: 0, or NaN after a gradient that is not finite
    std::string trouble_;
};

double TuningLoop::gradients(const std::vector<int64_t>& samples)
{
    const double positions = counted_positions(task_, samples);
    double sum = 0, elements = 0;
    over_micro_batches(samples, micro_batch_, [&](std::span<const int64_t> numbers) {
        const MicroBatch batch(task_, numbers);
        const at::AutoGradMode with_gradients(true);
        const at::Tensor output = task_.forward(batch.hidden);
        elements = positions * static_cast<double>(output.size(-1));
        SquaredError error = error_of(task_, output, batch);
        sum += error.sum;
        // The gradient of the mean over the whole batch, so that accumulation changes nothing.
        error.difference.mul_(2.0 / std::max(elements, 1.0));
        output.backward(error.difference.to(output.scalar_type()));
    });
    return sum / std::max(elements, 1.0);
}

double TuningLoop::gradients_with_retry(const std::vector<int64_t>& samples)
{
    while (true) {
        try {
            return gradients(samples);
        } catch (const c10::OutOfMemoryError&) {
            if (micro_batch_ == 1) {
                fail(ErrorCode::OutOfMemory, "the device has too little memory to tune one sample",
                    {{"block", std::to_string(task_.block)}}, "use a smaller seqlen");
            }
        }
        for (FusedWeight* weight : task_.weights) {
            weight->tuned().clear_gradient();
        }
        micro_batch_ = (micro_batch_ + 1) / 2;
        context_.events.warn("smaller_batch",
            "Out of device memory: " + std::to_string(micro_batch_)
                + " samples at a time from here on, with the gradients added up.");
    }
}

bool TuningLoop::is_finite(double loss, int64_t iteration)
{
    if (!std::isfinite(loss)) {
        trouble_ = concat("the loss is not finite at step ", iteration);
    }
    return trouble_.empty();
}

/// Sign descent does not feel a gradient that is not finite, it stands still. So every one is
/// looked at, without waiting for the device.
void TuningLoop::watch_gradients()
{
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> products;
    for (const FusedWeight* weight : task_.weights) {
        const TunedWeight& tuned = weight->tuned();
        if (tuned.has_gradient()) {
            const auto [low, high] = tuned.gradient().aminmax(); // lets NaN through
            products.push_back(low * 0 + high * 0);
        } else {
            products.push_back(at::zeros({}, tuned.weight().options()));
        }
    }
    const at::Tensor now = at::stack(products);
    gradients_watched_ = gradients_watched_.defined() ? gradients_watched_.add_(now) : now;
}

bool TuningLoop::had_finite_gradients(int64_t steps_done)
{
    if (!gradients_watched_.defined()) {
        return true;
    }
    const at::Tensor bad = gradients_watched_.isnan().nonzero();
    if (bad.size(0) > 0) {
        const auto first = static_cast<std::size_t>(bad[0][0].item<int64_t>());
        trouble_ = concat("the gradient of ", task_.weights[first]->linear().name,
            " is not finite, seen after step ", steps_done - 1);
    }
    return trouble_.empty();
}

StepSizes TuningLoop::sizes(std::size_t weight, int64_t iteration) const
{
    StepSizes sizes = schedules_[weight].at(iteration);
    sizes.rounding *= rate_;
    sizes.range *= rate_;
    return sizes;
}

void TuningLoop::step(int64_t iteration)
{
    for (std::size_t i = 0; i < task_.weights.size(); ++i) {
        task_.weights[i]->tuned().step(sizes(i, iteration));
    }
}

void TuningLoop::report(int64_t iteration, double loss)
{
    lowest_batch_loss_ = std::min(lowest_batch_loss_, loss);
    const double lr = schedules_.empty() ? 0 : sizes(0, iteration).rounding;
    context_.events.emit(IterationDone{task_.block, iteration, loss, lowest_batch_loss_, lr});
}

/// False: the loss is not finite.
bool TuningLoop::check_holdout(int64_t steps_done)
{
    const int64_t interval = std::max<int64_t>(1, recipe_.iters / kHoldoutChecks);
    const bool is_due = steps_done % interval == 0 || steps_done == recipe_.iters;
    if (selection_ != Selection::Holdout || !is_due) {
        return true;
    }
    const double loss = measure_loss(task_, held_out_, micro_batch_);
    if (!is_finite(loss, steps_done)) {
        return false;
    }
    best_.offer(loss, steps_done, task_.weights);
    return true;
}

bool TuningLoop::has_stalled(int64_t iteration) const
{
    return selection_ != Selection::Last && recipe_.dynamic_max_gap > 0
        && iteration - best_.iteration() >= recipe_.dynamic_max_gap;
}

Shuffle TuningLoop::shuffle(int64_t samples, int64_t batch_size) const
{
    if (recipe_.mimic_reference) {
        // One generator serves all blocks there.
        const int64_t per_block = shuffles_for(recipe_.iters, samples, batch_size);
        return reference_shuffle(static_cast<uint32_t>(context_.seed), samples,
            std::max<int64_t>(0, task_.block) * per_block);
    }
    return own_shuffle(context_.random("batches", static_cast<uint64_t>(task_.block)));
}

/// False: trouble.
bool TuningLoop::take_steps(TuningOutcome& outcome)
{
    const int64_t samples = task_.inputs.size(0) - task_.holdout;
    BITSMITH_ASSERT(samples > 0);
    const int64_t batch_size = std::min(samples, task_.global_batch);
    BatchSampler sampler(shuffle(samples, batch_size), samples, batch_size);
    bool is_sound = check_holdout(0);
    for (int64_t i = 0; i < recipe_.iters && is_sound; ++i) {
        context_.checkpoint();
        const std::vector<int64_t> batch = sampler.next();
        const double loss = gradients_with_retry(batch);
        if (!is_finite(loss, i)) {
            return false;
        }
        if (i == 0) {
            outcome.loss_start = loss;
            outcome.first_batch = batch;
        }
        if (selection_ == Selection::Minibatch) {
            best_.offer(loss, i, task_.weights);
        }
        report(i, loss);
        if (has_stalled(i)) {
            break;
        }
        watch_gradients();
        step(i);
        outcome.iterations = i + 1;
        is_sound =
            ((i + 1) % kGradientChecks != 0 || had_finite_gradients(i + 1)) && check_holdout(i + 1);
    }
    return is_sound && had_finite_gradients(outcome.iterations);
}

TuningOutcome TuningLoop::run()
{
    TuningOutcome outcome;
    if (!take_steps(outcome)) {
        for (FusedWeight* weight : task_.weights) {
            weight->tuned().clear_gradient();
            weight->tuned().restore({});
        }
        return {};
    }
    outcome.best_iteration = outcome.iterations;
    if (selection_ != Selection::Last) {
        best_.restore(task_.weights);
        outcome.best_iteration = best_.iteration();
    }
    return outcome;
}

/// One way of taking the steps. Once widened, a task stays so.
struct Rung
{
    bool widens;
    double rate; ///< factor of all step sizes
    const char* how;
};
constexpr Rung kRungs[] = {
    {false, 1, "as asked"}, {true, 1, "in fp32"}, {false, 0.25, "with a quarter of the step size"}};

std::string name_of(const TuningTask& task)
{
    return task.block >= 0 ? concat("block ", task.block) : task.weights.front()->linear().name;
}

} // namespace

TuningOutcome run_tuning(RunContext& context, const TuningTask& task, const Recipe& recipe)
{
    std::string trouble;
    for (const Rung& rung : kRungs) {
        if (rung.widens && !(task.widen && task.widen())) {
            continue;
        }
        if (!trouble.empty()) {
            context.events.warn("numeric_restart",
                concat(name_of(task), ": ", trouble, "; tuned again ", rung.how));
        }
        TuningLoop loop(context, task, recipe, rung.rate);
        TuningOutcome outcome = loop.run();
        if (loop.trouble().empty()) {
            if (rung.rate != 1) {
                outcome.deviation = concat("tuned ", rung.how, ": ", trouble);
            }
            return outcome;
        }
        trouble = loop.trouble();
        require_finite(task.inputs, concat("inputs of ", name_of(task)));
    }
    TuningOutcome outcome;
    outcome.gave_up = true;
    outcome.deviation = concat("rounded without tuning: ", trouble);
    context.events.warn("numeric_untuned", concat(name_of(task), ": ", outcome.deviation));
    return outcome;
}

} // namespace bitsmith::tune
