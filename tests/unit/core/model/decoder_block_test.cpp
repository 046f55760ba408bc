// SPDX-License-Identifier: GPL-3.0-or-later
// What the tuner relies on: gradients, hooks, storage kinds, refusals.
#include "arch/registry.h"
#include "model/causal_lm.h"
#include "model/expert_storage.h"
#include "support/test_main.h"
#include "unit/core/model/memory_tensors.h"

#include <ATen/core/grad_mode.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::model;

namespace {

Json tiny_config(const char* type = "llama")
{
    return {{"model_type", type}, {"hidden_size", 32}, {"intermediate_size", 48},
        {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
        {"head_dim", 8}, {"vocab_size", 40}, {"max_position_embeddings", 64}};
}

DecoderSpec spec_of(const Json& config)
{
    return arch::family_for(config).spec_from_config(config);
}

DecoderSpec moe_spec()
{
    Json config = tiny_config("qwen3_moe");
    config.update({{"num_experts", 4}, {"num_experts_per_tok", 2}, {"moe_intermediate_size", 24}});
    return spec_of(config);
}

double max_difference(const at::Tensor& a, const at::Tensor& b)
{
    return (a - b).abs().max().item<double>();
}

} // namespace

class DecoderBlockTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void gradientMatchesFiniteDifferences_data();
    void gradientMatchesFiniteDifferences();
    void gradientsReachAWeightPutInByAHook();
    void clearsHooksWhenAnExceptionPasses();
    void keysAndValuesPassTheCacheTransform_data();
    void keysAndValuesPassTheCacheTransform();
    void readsStackedExpertsOfEveryStorage_data();
    void readsStackedExpertsOfEveryStorage();
    void namesTheMissingTensor();
    void printsBothShapesOfAWrongTensor();
    void usesAHeadThatDiffersFromTheEmbedding();
    void acceptsAnEmbeddingWithPaddingRows();
    void refusesIdsBeyondTheEmbedding();
    void refusesVariantsThatAreNotImplemented();
};

void DecoderBlockTest::gradientMatchesFiniteDifferences_data()
{
    QTest::addColumn<QString>("type");
    for (const char* type : {"llama", "gemma2", "phi3", "mixtral", "gpt_oss"}) {
        QTest::newRow(type) << QString(type);
    }
}

void DecoderBlockTest::gradientMatchesFiniteDifferences()
{
    QFETCH(QString, type);
    Json config = tiny_config(qPrintable(type));
    if (type == "mixtral" || type == "gpt_oss") {
        config.update({{"num_local_experts", 4}, {"num_experts_per_tok", 2}});
    }
    const DecoderSpec spec = spec_of(config);
    const auto weights = random_weights(spec);
    const auto block = load_block(spec, 0, *weights, at::kDouble);
    const BlockShared shared(5, 0, at::kDouble);
    at::manual_seed(3);
    const at::Tensor x = at::randn({2, 5, 32}, at::kDouble).requires_grad_(true);
    const at::Tensor direction = at::randn({2, 5, 32}, at::kDouble);
    const at::Tensor weight = at::randn({2, 5, 32}, at::kDouble);
    const auto value = [&](const at::Tensor& at) {
        return (block->forward(at, shared) * weight).sum();
    };
    value(x).backward();
    const double slope = (x.grad() * direction).sum().item<double>();
    const at::NoGradGuard no_grad;
    const double step = 1e-3;
    const double measured =
        (value(x + step * direction) - value(x - step * direction)).item<double>() / (2 * step);
    // Norms and rotary tables work in fp32, which limits the measured slope.
    QVERIFY2(std::abs(slope - measured) <= 2e-3 * std::max(1.0, std::abs(slope)),
        qPrintable(QString("%1 against %2").arg(slope).arg(measured)));
}

void DecoderBlockTest::gradientsReachAWeightPutInByAHook()
{
    struct Replacement : LinearHook
    {
        at::Tensor weight;
        at::Tensor forward(const Linear& linear, const at::Tensor& x) override
        {
            return linear.product(x, weight);
        }
    };
    const DecoderSpec spec = spec_of(tiny_config());
    const auto block = load_block(spec, 0, *random_weights(spec), at::kFloat);
    const BlockShared shared(6, 0, at::kFloat);
    const at::Tensor x = at::randn({2, 6, 32});
    for (const BlockLinear& layer : block->linears()) {
        Replacement hook;
        hook.weight = layer.linear->weight.clone().requires_grad_(true);
        const at::Tensor plain = block->forward(x, shared);
        const LinearHookScope scope(*layer.linear, hook);
        const at::Tensor hooked = block->forward(x, shared);
        QCOMPARE(max_difference(plain, hooked.detach()), 0.0);
        hooked.square().sum().backward();
        QVERIFY2(hook.weight.grad().defined(), layer.linear->name.c_str());
        QVERIFY(hook.weight.grad().abs().max().item<double>() > 0);
        QVERIFY(!layer.linear->weight.requires_grad());
    }
}

void DecoderBlockTest::clearsHooksWhenAnExceptionPasses()
{
    struct Throwing : LinearHook
    {
        at::Tensor forward(const Linear&, const at::Tensor&) override
        {
            fail(ErrorCode::NumericFailure, "stop");
        }
    };
    const DecoderSpec spec = spec_of(tiny_config());
    const auto block = load_block(spec, 0, *random_weights(spec), at::kFloat);
    const BlockShared shared(3, 0, at::kFloat);
    const at::Tensor x = at::randn({1, 3, 32});
    const at::Tensor before = block->forward(x, shared);
    Throwing hook;
    try {
        const LinearHookScope scope(*block->linears().front().linear, hook);
        block->forward(x, shared);
        QFAIL("the hook was not called");
    } catch (const Error&) { }
    QVERIFY(block->forward(x, shared).equal(before));
}

void DecoderBlockTest::keysAndValuesPassTheCacheTransform_data()
{
    QTest::addColumn<QString>("type");
    for (const char* type : {"llama", "qwen3", "gemma2", "phi3"}) {
        QTest::newRow(type) << QString(type);
    }
}

void DecoderBlockTest::keysAndValuesPassTheCacheTransform()
{
    struct Doubling : CacheTransform
    {
        at::Tensor keys, values; // as they came
        void apply(at::Tensor& k, at::Tensor& v) override
        {
            keys = k;
            values = v;
            k = k * 2;
            v = v * 2;
        }
    };
    QFETCH(QString, type);
    const at::NoGradGuard no_grad;
    const DecoderSpec spec = spec_of(tiny_config(qPrintable(type)));
    const auto block = load_block(spec, 0, *random_weights(spec), at::kFloat);
    const BlockShared shared(6, 0, at::kFloat);
    const at::Tensor x = at::randn({2, 6, 32});
    KvCache plain, doubled;
    const at::Tensor expected = block->forward(x, shared, &plain);
    const auto transform = std::make_shared<Doubling>();
    block->cache_transform = transform;
    // What enters the cache: heads of their own, behind the rotary embedding.
    const at::Tensor found = block->forward(x, shared, &doubled);
    QVERIFY(at::equal(transform->keys, plain.keys));
    QVERIFY(at::equal(transform->values, plain.values));
    QVERIFY(at::equal(doubled.keys, plain.keys * 2));
    QVERIFY(at::equal(doubled.values, plain.values * 2));
    QVERIFY(max_difference(found, expected) > 1e-3);
    QCOMPARE(max_difference(block->forward(x, shared), found), 0.0);
    block->cache_transform = nullptr;
    QCOMPARE(max_difference(block->forward(x, shared), expected), 0.0);
}

void DecoderBlockTest::readsStackedExpertsOfEveryStorage_data()
{
    QTest::addColumn<int>("storage");
    QTest::newRow("stacked") << int(Experts::Stacked);
    QTest::newRow("stacked and transposed") << int(Experts::StackedTransposed);
}

void DecoderBlockTest::readsStackedExpertsOfEveryStorage()
{
    QFETCH(int, storage);
    DecoderSpec spec = moe_spec();
    const auto weights = random_weights(spec);
    const BlockShared shared(6, 0, at::kFloat);
    const at::Tensor x = at::randn({2, 6, 32});
    const at::Tensor expected = load_block(spec, 0, *weights, at::kFloat)->forward(x, shared);
    std::vector<at::Tensor> gate_up, down;
    for (int e = 0; e < 4; ++e) {
        const std::string prefix = "model.layers.0.mlp.experts." + std::to_string(e);
        const auto take = [&](const char* name) {
            const std::string whole = prefix + name;
            const at::Tensor weight = weights->load(whole);
            weights->remove(whole);
            return weight;
        };
        const at::Tensor gate = take(".gate_proj.weight"), up = take(".up_proj.weight");
        gate_up.push_back(at::cat({gate, up}, 0));
        down.push_back(take(".down_proj.weight"));
    }
    at::Tensor first = at::stack(gate_up), second = at::stack(down);
    if (Experts(storage) == Experts::StackedTransposed) {
        first = first.transpose(1, 2).contiguous();
        second = second.transpose(1, 2).contiguous();
    }
    weights->add("model.layers.0.mlp.experts.gate_up_proj", first);
    weights->add("model.layers.0.mlp.experts.down_proj", second);
    resolve_from_tensors(spec, *weights);
    QCOMPARE(int(spec.blocks[0].moe->storage), storage);
    QCOMPARE(int(spec.blocks[1].moe->storage), int(Experts::PerExpert));
    check_tensors(spec, *weights);
    QCOMPARE(
        max_difference(load_block(spec, 0, *weights, at::kFloat)->forward(x, shared), expected),
        0.0);
}

void DecoderBlockTest::namesTheMissingTensor()
{
    const DecoderSpec spec = spec_of(tiny_config());
    const auto weights = random_weights(spec);
    weights->remove("model.layers.1.mlp.up_proj.weight");
    try {
        CausalLm(spec, weights, at::kFloat);
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::MissingTensor);
        QVERIFY(QString(error.what()).contains("model.layers.1.mlp.up_proj.weight"));
    }
}

void DecoderBlockTest::printsBothShapesOfAWrongTensor()
{
    const DecoderSpec spec = spec_of(tiny_config());
    const auto weights = random_weights(spec);
    weights->remove("model.layers.0.self_attn.k_proj.weight");
    weights->add("model.layers.0.self_attn.k_proj.weight", at::zeros({32, 32}));
    try {
        CausalLm(spec, weights, at::kFloat);
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::ShapeMismatch);
        QVERIFY(QString(error.what()).contains("[32, 32]"));
        QVERIFY(QString(error.what()).contains("[16, 32]"));
    }
}

void DecoderBlockTest::usesAHeadThatDiffersFromTheEmbedding()
{
    Json config = tiny_config();
    const DecoderSpec untied = spec_of(config);
    const auto weights = random_weights(untied);
    config["tie_word_embeddings"] = true;
    const CausalLm model(spec_of(config), weights, at::kFloat);
    QVERIFY(!model.spec().is_tied);
    QCOMPARE(model.head_name(), std::string("lm_head"));
    weights->remove("lm_head.weight");
    const CausalLm tied(untied, weights, at::kFloat);
    QVERIFY(tied.spec().is_tied);
    QCOMPARE(tied.head_name(), std::string("model.embed_tokens"));
    weights->add("lm_head.weight", weights->load("model.embed_tokens.weight").clone());
    QVERIFY(CausalLm(spec_of(config), weights, at::kFloat).spec().is_tied);
}

void DecoderBlockTest::acceptsAnEmbeddingWithPaddingRows()
{
    const DecoderSpec spec = spec_of(tiny_config());
    const auto weights = random_weights(spec);
    for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
        weights->remove(name);
        weights->add(name, at::randn({64, 32}));
    }
    const CausalLm model(spec, weights, at::kFloat);
    QCOMPARE(model.embed(at::tensor({63}, at::kLong)).size(1), 32);
    QCOMPARE(model.logits(at::randn({3, 32})).size(1), 40);
}

void DecoderBlockTest::refusesIdsBeyondTheEmbedding()
{
    const DecoderSpec spec = spec_of(tiny_config());
    const CausalLm model(spec, random_weights(spec), at::kFloat);
    QVERIFY_EXCEPTION_THROWN(model.embed(at::tensor({1, 40}, at::kLong)), Error);
    QVERIFY_EXCEPTION_THROWN(model.embed(at::tensor({-1}, at::kLong)), Error);
}

void DecoderBlockTest::refusesVariantsThatAreNotImplemented()
{
    const auto refuses = [](const std::function<void(DecoderSpec&)>& change) {
        DecoderSpec spec = moe_spec();
        check_spec(spec);
        change(spec);
        try {
            check_spec(spec);
        } catch (const Error& error) {
            return error.code() == ErrorCode::UnsupportedModel
                && error.context().front().first == "field";
        }
        return false;
    };
    QVERIFY(refuses([](auto& s) { s.positions = Positions::Alibi; }));
    QVERIFY(refuses([](auto& s) { s.names.conv1d = true; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].wiring = Wiring::ParallelOneNorm; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].mixer = MixerKind::Mamba1; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].norm.kind = NormKind::Layer; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].residual_scale = 0.5; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].attention.clip = 1; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].attention.latent.emplace(); }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].attention.mask = MaskKind::Chunked; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].attention.rotary.pair = RotaryPair::Interleaved; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].attention.qk_norm = QkNorm::WholeProjection; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].moe->router.kind = Router::SigmoidGroups; }));
    QVERIFY(refuses([](auto& s) { s.blocks[1].moe->shared_dim = 8; }));
}

BITSMITH_TEST(DecoderBlockTest)
#include "decoder_block_test.moc"
