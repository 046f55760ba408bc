// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/fisher_weights.h"

#include "base/text.h"
#include "run/block_passes.h"
#include "run/run_record.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace bitsmith {

namespace {

/// The first token at which the running sum of `probabilities` [n, vocab] passes its share
/// `draws` [n] in [0, 1) of the total -> int64 [n].
at::Tensor labels_at(const at::Tensor& probabilities, const at::Tensor& draws)
{
    const at::Tensor sums = probabilities.cumsum(-1, at::kDouble);
    const at::Tensor shares = draws.to(sums.device()).unsqueeze(-1) * sums.narrow(-1, -1, 1);
    return at::searchsorted(sums, shares, /*out_int32=*/false, /*right=*/true)
        .squeeze(-1)
        .clamp_max_(sums.size(-1) - 1);
}

class FisherPass
{
public:
    FisherPass(RunContext& context, const model::CausalLm& model,
        const calib::CalibrationSet& calibration, int64_t tokens_at_once)
        : context_(context)
        , model_(model)
        , calibration_(calibration)
        , windows_at_once_(std::max<int64_t>(1, tokens_at_once / calibration.ids.size(1)))
        , shared_(model.shared(calibration.ids.size(1)))
        , tokens_(at::zeros({model.n_blocks(), calibration.ids.size(0), calibration.ids.size(1)}))
        , channels_(at::zeros({model.n_blocks(), model.spec().hidden}, at::kDouble))
    { }

    tune::FisherWeights run();

private:
    void pass_windows(int64_t first, int64_t count);
    void report() const;
    void begin_step();
    at::Tensor draws(int64_t first, int64_t count) const;
    at::Tensor head_gradient(const at::Tensor& hidden, int64_t first);
    void add(int64_t block, int64_t first, const at::Tensor& gradient);

    RunContext& context_;
    const model::CausalLm model_; ///< a copy: embedding and head are given up with it
    const calib::CalibrationSet& calibration_;
    const int64_t windows_at_once_;
    const model::BlockShared shared_;
    at::Tensor tokens_, channels_; ///< sums of squares, as in FisherWeights
    int64_t steps_ = 0; ///< blocks and heads, begun
};

void FisherPass::report() const
{
    const int64_t windows = calibration_.ids.size(0);
    const int64_t batches = (windows + windows_at_once_ - 1) / windows_at_once_;
    // Every block but the first twice, and the head.
    context_.events.emit(StageProgress{
        Stage::Calibrate, steps_, 2 * model_.n_blocks() * batches, "passes through blocks"});
}

void FisherPass::begin_step()
{
    context_.checkpoint();
    report();
    ++steps_;
}

/// Uniform numbers for the positions of windows, double [count · tokens].
at::Tensor FisherPass::draws(int64_t first, int64_t count) const
{
    std::vector<double> numbers;
    for (int64_t i = first; i < first + count; ++i) {
        Random random = context_.random("fisher", static_cast<uint64_t>(i));
        for (int64_t t = 0; t < calibration_.ids.size(1); ++t) {
            numbers.push_back(random.uniform());
        }
    }
    return at::tensor(numbers, at::kDouble);
}

at::Tensor FisherPass::head_gradient(const at::Tensor& hidden, int64_t first)
{
    const at::Tensor uniform = draws(first, hidden.size(0));
    const at::Tensor mask =
        calibration_.mask.narrow(0, first, hidden.size(0)).flatten().to(hidden.device());
    const auto loss = [&](const at::Tensor& part, int64_t position) {
        context_.checkpoint();
        const at::Tensor found = model_.logits(part).log_softmax(-1);
        const at::Tensor labels =
            labels_at(found.detach().exp(), uniform.narrow(0, position, part.size(0)));
        const at::Tensor each = found.gather(-1, labels.unsqueeze(-1)).squeeze(-1);
        return -(each * mask.narrow(0, position, part.size(0))).sum();
    };
    at::Tensor gradient;
    sum_over_positions(hidden, loss, &gradient);
    return gradient;
}

void FisherPass::add(int64_t block, int64_t first, const at::Tensor& gradient)
{
    const at::NoGradGuard no_grad;
    const int64_t count = gradient.size(0);
    const at::Tensor squares = gradient.to(at::kFloat).square();
    tokens_[block].narrow(0, first, count).copy_(squares.sum(-1));
    const int64_t tuned = calibration_.ids.size(0) - calibration_.holdout - first;
    if (tuned > 0) { // held-out windows stay unseen
        const int64_t rows = std::min(count, tuned);
        const at::Tensor mask =
            calibration_.mask.narrow(0, first, rows).flatten().to(squares.device(), at::kFloat);
        const at::Tensor sums = at::mv(squares.narrow(0, 0, rows).flatten(0, 1).t(), mask);
        channels_[block].add_(sums.to(channels_.options()));
    }
}

void FisherPass::pass_windows(int64_t first, int64_t count)
{
    const auto load = [this](int64_t i) {
        begin_step();
        return model_.load_block(i);
    };
    const std::vector<at::Tensor> hidden =
        block_inputs(context_, model_, calibration_.ids.narrow(0, first, count), shared_, load);
    begin_step();
    at::Tensor gradient = head_gradient(hidden.back(), first);
    for (int64_t i = model_.n_blocks() - 1; i > 0; --i) {
        add(i, first, gradient);
        gradient =
            backward_through(*load(i), shared_, hidden[static_cast<std::size_t>(i)], gradient);
    }
    add(0, first, gradient);
}

tune::FisherWeights FisherPass::run()
{
    const int64_t windows = calibration_.ids.size(0);
    for (int64_t first = 0; first < windows; first += windows_at_once_) {
        pass_windows(first, std::min(windows_at_once_, windows - first));
    }
    report();
    tune::FisherWeights weights{at::empty_like(tokens_), at::empty(channels_.sizes(), at::kFloat)};
    for (int64_t i = 0; i < model_.n_blocks(); ++i) {
        const std::string name = std::to_string(i);
        weights.tokens[i].copy_(tune::fisher_positions(tokens_[i], calibration_.mask, name));
        weights.channels[i].copy_(tune::fisher_channels(channels_[i], name));
    }
    return weights;
}

} // namespace

tune::FisherWeights measure_fisher_weights(RunContext& context, const model::CausalLm& model,
    const calib::CalibrationSet& calibration, int64_t tokens_at_once)
{
    return FisherPass(context, model, calibration, tokens_at_once).run();
}

tune::FisherWeights load_or_measure_fisher_weights(RunContext& context,
    const model::CausalLm& model, RunFolder& folder, const calib::CalibrationSet& calibration)
{
    const std::vector<int64_t> tokens{
        model.n_blocks(), calibration.ids.size(0), calibration.ids.size(1)};
    const std::vector<int64_t> channels{model.n_blocks(), model.spec().hidden};
    if (auto kept = folder.load_fisher_weights()) {
        if (kept->tokens.sizes() != tokens || kept->channels.sizes() != channels) {
            fail(ErrorCode::FileCorrupt, "the weights of positions and channels do not fit the run",
                {{"file", (folder.folder() / run_files::kFisher).string()},
                    {"found", concat(kept->tokens.sizes(), " and ", kept->channels.sizes())},
                    {"allowed",
                        concat(at::IntArrayRef(tokens), " and ", at::IntArrayRef(channels))}},
                "Remove the file and resume; it is measured again");
        }
        return *std::move(kept);
    }
    tune::FisherWeights weights = measure_fisher_weights(context, model, calibration);
    folder.publish_fisher_weights(weights);
    return weights;
}

} // namespace bitsmith
