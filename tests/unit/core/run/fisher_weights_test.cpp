// SPDX-License-Identifier: GPL-3.0-or-later
// Weights from gradients: against one graph over the whole model, and inside a job.
#include "eval/generator.h"
#include "run/fisher_weights.h"
#include "source/model_source.h"
#include "support/expect_error.h"
#include "support/same_bits.h"
#include "support/test_main.h"
#include "unit/core/run/calibrated_job.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;

namespace {

constexpr uint64_t kSeed = 7;
constexpr int64_t kTokens = 24;

/// Keeps the progress of the passes; stops the job behind its first block if asked to.
struct Watcher : Observer
{
    void on_event(const Event& event) override
    {
        const auto* found = event.get_if<StageProgress>();
        if (found != nullptr && found->unit == "passes through blocks") {
            progress.push_back(*found);
        }
        if (stops && event.get_if<BlockFinished>() != nullptr) {
            control.cancel();
        }
    }
    RunControl control;
    bool stops = false;
    std::vector<StageProgress> progress;
};

model::CausalLm load_model(const TinyCheckpoint& tiny)
{
    const auto source = source::open_model(tiny.path());
    return model::CausalLm(source->spec, source->tensors, at::kFloat);
}

calib::CalibrationSet windows()
{
    at::manual_seed(5);
    calib::CalibrationSet set;
    set.ids = at::randint(256, {7, kTokens}, at::kLong);
    set.mask = at::ones({7, kTokens}, at::kBool);
    set.mask.select(1, kTokens - 1).fill_(false);
    set.mask[2].narrow(0, 3, 8).fill_(false);
    set.holdout = 2;
    return set;
}

tune::FisherWeights measure(const model::CausalLm& model, const calib::CalibrationSet& set,
    uint64_t seed = kSeed, int64_t tokens_at_once = kFisherTokens)
{
    Watcher watcher;
    EventEmitter emitter(watcher);
    RunContext context{emitter, {}, "cpu", seed};
    return measure_fisher_weights(context, model, set, tokens_at_once);
}

/// −Σ log p of the labels that the model draws, from its logits [windows, tokens, vocab].
at::Tensor sampled_loss(const at::Tensor& logits, const at::Tensor& mask)
{
    at::Tensor loss = at::zeros({});
    eval::SamplingOptions options;
    options.temperature = 1;
    for (int64_t w = 0; w < logits.size(0); ++w) {
        Random random(kSeed, "fisher", static_cast<uint64_t>(w));
        for (int64_t t = 0; t < logits.size(1); ++t) {
            const int64_t label = eval::draw_token(logits[w][t].detach(), options, random);
            if (mask[w][t].item<bool>()) {
                loss = loss - logits[w][t].log_softmax(-1)[label];
            }
        }
    }
    return loss;
}

/// The same by one graph over the whole model.
tune::FisherWeights plain_autograd(const model::CausalLm& model, const calib::CalibrationSet& set)
{
    const model::BlockShared shared = model.shared(kTokens);
    at::Tensor hidden = model.embed(set.ids).requires_grad_();
    std::vector<at::Tensor> outputs;
    std::vector<std::unique_ptr<model::DecoderBlock>> blocks;
    for (int64_t i = 0; i < model.n_blocks(); ++i) {
        blocks.push_back(model.load_block(i));
        hidden = blocks.back()->forward(hidden, shared);
        hidden.retain_grad();
        outputs.push_back(hidden);
    }
    sampled_loss(model.logits(hidden), set.mask).backward();
    std::vector<at::Tensor> tokens, channels;
    const at::Tensor mask = set.mask.to(at::kDouble);
    for (const at::Tensor& output : outputs) {
        const at::Tensor squares = output.grad().to(at::kDouble).square();
        const at::Tensor all = squares.sum(-1) * mask;
        tokens.push_back((all / (all.sum() / mask.sum())).clamp_max(20));
        const at::Tensor tuned =
            (squares * mask.unsqueeze(-1)).slice(0, 0, set.ids.size(0) - set.holdout);
        const at::Tensor each = tuned.sum({0, 1});
        channels.push_back(each / each.mean());
    }
    return {at::stack(tokens).to(at::kFloat), at::stack(channels).to(at::kFloat)};
}

bool is_near(const tune::FisherWeights& a, const tune::FisherWeights& b)
{
    return at::allclose(a.tokens, b.tokens, 1e-5, 1e-6)
        && at::allclose(a.channels, b.channels, 1e-5, 1e-6);
}

JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp)
{
    JobSpec spec = calibrated_job(tiny, temp, "W3A16G32");
    spec.recipe.iters = 6;
    spec.recipe.objective = Objective::Fisher;
    return spec;
}

} // namespace

class FisherWeightsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void areThoseOfOneGraphOverTheWholeModel();
    void doNotDependOnWindowsTakenTogether();
    void areTheSameTwiceAndOthersByAnotherSeed();
    void countNoPositionAboveTwentyTimesTheMean();
    void refuseGradientsThatSayNothing();
    void giveTheSameBytesAfterAResume_data();
    void giveTheSameBytesAfterAResume();
    void refuseThoseOfAnotherText();
    void areMeasuredOnlyWhenAskedFor();

private:
    const TinyCheckpoint tiny_;
};

void FisherWeightsTest::areThoseOfOneGraphOverTheWholeModel()
{
    const model::CausalLm model = load_model(tiny_);
    const tune::FisherWeights expected = plain_autograd(model, windows());
    const tune::FisherWeights found = measure(model, windows());
    QVERIFY(is_near(found, expected));
    // The numbers tell positions and channels apart.
    QVERIFY(found.tokens.max().item<float>() > 1.5F);
    QVERIFY(found.channels.max().item<float>() > 1.2F * found.channels.min().item<float>());
    QVERIFY(found.tokens.masked_select(windows().mask.logical_not()).eq(0).all().item<bool>());
}

void FisherWeightsTest::doNotDependOnWindowsTakenTogether()
{
    const model::CausalLm model = load_model(tiny_);
    const tune::FisherWeights together = measure(model, windows());
    // Three windows, the last one alone; one window, whose tokens are more than asked for.
    for (const int64_t tokens_at_once : {3 * kTokens, kTokens / 2}) {
        QVERIFY(is_near(measure(model, windows(), kSeed, tokens_at_once), together));
    }
}

void FisherWeightsTest::areTheSameTwiceAndOthersByAnotherSeed()
{
    const model::CausalLm model = load_model(tiny_);
    const tune::FisherWeights first = measure(model, windows()), again = measure(model, windows());
    QVERIFY(same_bits(first.tokens, again.tokens));
    QVERIFY(same_bits(first.channels, again.channels));
    QVERIFY(!is_near(first, measure(model, windows(), kSeed + 1)));
}

void FisherWeightsTest::countNoPositionAboveTwentyTimesTheMean()
{
    at::Tensor squares = at::ones({2, 51});
    squares[1][4] = 5000;
    squares[0][50] = 1e9; // does not count
    at::Tensor mask = at::ones({2, 51}, at::kBool);
    mask.select(1, 50).fill_(false);
    const at::Tensor weights = tune::fisher_positions(squares, mask, "0");
    QCOMPARE(weights[1][4].item<float>(), 20.0F);
    QCOMPARE(weights[0][50].item<float>(), 0.0F);
    QCOMPARE(weights[0][0].item<float>(), static_cast<float>(100.0 / (99 + 5000)));
}

void FisherWeightsTest::refuseGradientsThatSayNothing()
{
    const at::Tensor mask = at::ones({2, 3}, at::kBool);
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({"block", "17", "inverse-norm"}),
        tune::fisher_positions(at::zeros({2, 3}), mask, "17"));
    at::Tensor squares = at::ones({8});
    squares[3] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_ERROR(
        NumericFailure, EXPECT_WORDS({"block", "17"}), tune::fisher_channels(squares, "17"));
}

void FisherWeightsTest::giveTheSameBytesAfterAResume_data()
{
    QTest::addColumn<bool>("areKept");
    QTest::newRow("weights of the run") << true;
    QTest::newRow("measured again") << false;
}

void FisherWeightsTest::giveTheSameBytesAfterAResume()
{
    QFETCH(bool, areKept);
    const TempFolder whole, parts;
    Watcher undisturbed, stopped, resumed;
    JobSpec spec = job(tiny_, whole);
    const Outcome first = run(spec, false, undisturbed, {});
    QVERIFY2(first.state == JobState::Done, first.message.c_str());
    QCOMPARE(undisturbed.progress.front().done, int64_t{0});
    QCOMPARE(undisturbed.progress.back().done, undisturbed.progress.back().total);

    spec.runtime.run_dir = (parts / "run").string();
    spec.exports.output = (parts / "out").string();
    stopped.stops = true;
    QCOMPARE(run(spec, false, stopped, stopped.control).state, JobState::Cancelled);
    if (!areKept) {
        QVERIFY(std::filesystem::remove(parts / "run" / "fisher.safetensors"));
    }
    const Outcome outcome = run(spec, true, resumed, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    QCOMPARE(resumed.progress.empty(), areKept);
    for (const char* file : {"run/fisher.safetensors", "out/model.safetensors"}) {
        QCOMPARE(sha256_file(parts / file), sha256_file(whole / file));
    }
}

void FisherWeightsTest::refuseThoseOfAnotherText()
{
    const TempFolder temp;
    Watcher stopped, resumed;
    const JobSpec spec = job(tiny_, temp);
    stopped.stops = true;
    QCOMPARE(run(spec, false, stopped, stopped.control).state, JobState::Cancelled);
    tensor::publish_safetensors(disk(), temp / "run" / "fisher.safetensors",
        {{"tokens", at::ones({2, 5, 64})}, {"channels", at::ones({2, 64})}});
    const Outcome outcome = run(spec, true, resumed, {});
    QCOMPARE(outcome.state, JobState::Failed);
    QCOMPARE(outcome.error_code, ErrorCode::FileCorrupt);
    QVERIFY2(
        outcome.message.find("fisher.safetensors") != std::string::npos, outcome.message.c_str());
}

void FisherWeightsTest::areMeasuredOnlyWhenAskedFor()
{
    const TempFolder with, without;
    Watcher asked, unasked;
    QCOMPARE(run(job(tiny_, with), false, asked, {}).state, JobState::Done);
    JobSpec spec = job(tiny_, without);
    spec.recipe.objective = Recipe().objective;
    QCOMPARE(run(spec, false, unasked, {}).state, JobState::Done);
    QVERIFY(unasked.progress.empty());
    QVERIFY(!std::filesystem::exists(without / "run" / "fisher.safetensors"));
    QVERIFY(sha256_file(with / "out" / "model.safetensors")
        != sha256_file(without / "out" / "model.safetensors"));
}

BITSMITH_TEST(FisherWeightsTest)
#include "fisher_weights_test.moc"
