// SPDX-License-Identifier: GPL-3.0-or-later
#include "arch/registry.h"
#include "eval/generator.h"
#include "support/test_main.h"
#include "unit/core/model/memory_tensors.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::eval;

namespace {

struct Silent : Observer
{
    void on_event(const Event&) override { }
};

struct Fixture
{
    explicit Fixture(const char* type = "llama")
    {
        const Json config{{"model_type", type}, {"hidden_size", 32}, {"intermediate_size", 48},
            {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
            {"head_dim", 8}, {"vocab_size", 40}, {"max_position_embeddings", 64},
            {"sliding_window", 4}};
        const auto spec = arch::family_for(config).spec_from_config(config);
        model = std::make_unique<model::CausalLm>(spec, random_weights(spec), at::kFloat);
        generator = std::make_unique<Generator>(context, *model);
    }
    /// Without a cache: the whole sequence is run again for every token.
    std::vector<int32_t> slowly(std::vector<int32_t> ids, int64_t count) const
    {
        const std::size_t begin = ids.size();
        for (int64_t i = 0; i < count; ++i) {
            const at::Tensor input = at::tensor(at::ArrayRef<int32_t>(ids)).to(at::kLong);
            at::Tensor hidden = model->embed(input.unsqueeze(0));
            const model::BlockShared shared = model->shared(input.numel());
            for (int64_t b = 0; b < model->n_blocks(); ++b) {
                hidden = model->load_block(b)->forward(hidden, shared);
            }
            const at::Tensor logits = model->logits(hidden)[0][input.numel() - 1];
            ids.push_back(static_cast<int32_t>(logits.argmax().item<int64_t>()));
        }
        return {ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end()};
    }

    Silent observer;
    EventEmitter emitter{observer};
    RunContext context{emitter, {}, "cpu", 42};
    std::unique_ptr<model::CausalLm> model;
    std::unique_ptr<Generator> generator;
};

} // namespace

class GeneratorTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void cacheGivesTheTokensOfTheWholeSequence_data();
    void cacheGivesTheTokensOfTheWholeSequence();
    void batchOfUnequalPromptsGivesTheSameAnswersAsSingleOnes();
    void sameSeedGivesTheSameText();
    void stopsAtStopTokensAtTheSinkAndAtTheContext();
    void topKAndTopPKeepTheMostLikelyTokens();
    void drawsInProportionToTheProbabilities();
    void refusesBadOptionsAndEmptyPrompts();
    void stopsWhenCancelled();
};

void GeneratorTest::cacheGivesTheTokensOfTheWholeSequence_data()
{
    QTest::addColumn<QString>("type");
    for (const char* type : {"llama", "mistral", "gemma2", "qwen3", "phi3"}) {
        QTest::newRow(type) << QString(type);
    }
}

void GeneratorTest::cacheGivesTheTokensOfTheWholeSequence()
{
    QFETCH(QString, type);
    const Fixture f(qPrintable(type));
    SamplingOptions options;
    options.max_tokens = 12;
    Fixture g(qPrintable(type));
    QCOMPARE(
        g.generator->generate(g.context, {3, 1, 4, 1, 5}, options), f.slowly({3, 1, 4, 1, 5}, 12));
}

void GeneratorTest::batchOfUnequalPromptsGivesTheSameAnswersAsSingleOnes()
{
    Fixture f("mistral"); // its window of 4 must move with each row
    SamplingOptions options;
    options.max_tokens = 10;
    const std::vector<std::vector<int32_t>> prompts{{5}, {1, 2, 3, 4, 5, 6, 7, 8}, {9, 10}};
    const auto together = f.generator->sample(f.context, prompts, options);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        QCOMPARE(together[i], f.generator->generate(f.context, prompts[i], options));
    }
    // a row that stops early leaves the others alone
    options.stop_ids = {together[1][3]};
    const auto shorter = f.generator->sample(f.context, prompts, options);
    QVERIFY(shorter[1].size() <= 3);
    for (const std::size_t i : {0, 2}) {
        const auto stop = std::find(together[i].begin(), together[i].end(), together[1][3]);
        QCOMPARE(shorter[i], std::vector<int32_t>(together[i].begin(), stop));
    }
}

void GeneratorTest::sameSeedGivesTheSameText()
{
    Fixture f;
    SamplingOptions options;
    options.temperature = 1;
    options.max_tokens = 20;
    const auto first = f.generator->generate(f.context, {1, 2}, options);
    QCOMPARE(f.generator->generate(f.context, {1, 2}, options), first);
    options.stream = 1;
    QVERIFY(f.generator->generate(f.context, {1, 2}, options) != first);
    options.stream = 0;
    f.context.seed = 43;
    QVERIFY(f.generator->generate(f.context, {1, 2}, options) != first);
}

void GeneratorTest::stopsAtStopTokensAtTheSinkAndAtTheContext()
{
    Fixture f;
    SamplingOptions options;
    options.max_tokens = 8;
    const auto all = f.generator->generate(f.context, {7, 8}, options);
    QCOMPARE(all.size(), std::size_t{8});
    int seen = 0;
    const auto cut =
        f.generator->generate(f.context, {7, 8}, options, [&](int32_t) { return ++seen < 3; });
    QCOMPARE(cut, std::vector<int32_t>(all.begin(), all.begin() + 3));
    options.max_tokens = 1000;
    QCOMPARE(f.generator->generate(f.context, {7, 8}, options).size(), std::size_t{62});
    options.max_tokens = 0;
    QVERIFY(f.generator->generate(f.context, {7, 8}, options).empty());
}

void GeneratorTest::topKAndTopPKeepTheMostLikelyTokens()
{
    const at::Tensor logits = at::tensor({0.5F, 0.3F, 0.15F, 0.05F}).log();
    Random random(1);
    SamplingOptions options;
    options.temperature = 1;
    options.top_k = 2;
    std::set<int32_t> seen;
    for (int i = 0; i < 300; ++i) {
        seen.insert(draw_token(logits, options, random));
    }
    QCOMPARE(seen, (std::set<int32_t>{0, 1}));
    options.top_k = 0;
    options.top_p = 0.9; // 0.5 + 0.3 is not enough, 0.95 is
    seen.clear();
    for (int i = 0; i < 300; ++i) {
        seen.insert(draw_token(logits, options, random));
    }
    QCOMPARE(seen, (std::set<int32_t>{0, 1, 2}));
    options.temperature = 0;
    QCOMPARE(draw_token(logits, options, random), 0);
}

void GeneratorTest::drawsInProportionToTheProbabilities()
{
    const at::Tensor logits = at::tensor({0.2F, 0.7F, 0.1F}).log();
    Random random(5);
    SamplingOptions options;
    options.temperature = 1;
    std::vector<int> counts(3);
    for (int i = 0; i < 20000; ++i) {
        ++counts[static_cast<std::size_t>(draw_token(logits, options, random))];
    }
    QVERIFY(std::abs(counts[0] / 20000.0 - 0.2) < 0.015);
    QVERIFY(std::abs(counts[1] / 20000.0 - 0.7) < 0.015);
}

void GeneratorTest::refusesBadOptionsAndEmptyPrompts()
{
    Fixture f;
    SamplingOptions options;
    QVERIFY_EXCEPTION_THROWN(f.generator->generate(f.context, {}, options), Error);
    QVERIFY_EXCEPTION_THROWN(f.generator->generate(f.context, {40}, options), Error);
    options.temperature = -1;
    QVERIFY_EXCEPTION_THROWN(f.generator->generate(f.context, {1}, options), Error);
    options.temperature = 1;
    options.top_p = 0;
    QVERIFY_EXCEPTION_THROWN(f.generator->generate(f.context, {1}, options), Error);
}

void GeneratorTest::stopsWhenCancelled()
{
    Fixture f;
    SamplingOptions options;
    QVERIFY_EXCEPTION_THROWN(f.generator->generate(f.context, {1}, options,
                                 [&](int32_t) {
                                     f.context.control.cancel();
                                     return true;
                                 }),
        Cancelled);
}

BITSMITH_TEST(GeneratorTest)
#include "generator_test.moc"
