// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/check.h>

#include <QtTest>

#include <algorithm>

using namespace bitsmith;

class GgufMixPlanTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void raisesValuesOfTheLargeLlama();
    void plansConcreteTypes();
    void readsOverridesWithMixes();
    void quantizesTheHeadAsOutput();
    void splitsExpertsFromTheRest();
    void takesAnotherTypeWhereSuperBlocksDoNotFit_data();
    void takesAnotherTypeWhereSuperBlocksDoNotFit();
    void reportsOtherTypesAsWhatTheyAre();
    void letsAttentionDifferButNotExperts();
};

namespace {

constexpr int64_t kWidth = 512;

LayerInfo linear(const std::string& name, int64_t block)
{
    return {name, block, kWidth, kWidth, "BF16", 0, true, ""};
}

std::string block_name(int64_t block)
{
    return "model.layers." + std::to_string(block) + ".";
}

ModelInfo dense_model(int64_t blocks)
{
    ModelInfo info;
    info.blocks = blocks;
    info.heads = 8;
    info.kv_heads = 4;
    for (int64_t i = 0; i < blocks; ++i) {
        for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                 "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
            info.layers.push_back(linear(block_name(i) + name, i));
        }
    }
    info.layers.push_back({"lm_head", -1, 1024, kWidth, "BF16", 0, false, "lm_head"});
    return info;
}

ModelInfo expert_model(int64_t blocks, int64_t experts)
{
    ModelInfo info;
    info.blocks = blocks;
    info.experts = experts;
    for (int64_t i = 0; i < blocks; ++i) {
        info.layers.push_back(linear(block_name(i) + "self_attn.v_proj", i));
        const std::string module = block_name(i) + "block_sparse_moe.experts.";
        for (int64_t e = 0; e < experts; ++e) {
            for (const char* name : {".w1", ".w3", ".w2"}) {
                info.layers.push_back(linear(module + std::to_string(e) + name, i));
                info.layers.back().unit =
                    module + (std::string_view(name) == ".w2" ? "down" : "gate_up");
            }
        }
    }
    return info;
}

JobSpec job(const char* scheme)
{
    JobSpec spec;
    spec.model.path = "/nowhere/model";
    spec.scheme.scheme = scheme;
    return spec;
}

const PlannedLayer& layer(const Plan& plan, const std::string& name)
{
    const PlannedLayer* found = plan.find(name);
    BITSMITH_ASSERT(found != nullptr);
    return *found;
}

std::string scheme_of(const Plan& plan, const std::string& name)
{
    return scheme_name(layer(plan, name).scheme);
}

/// Messages of one rule.
std::vector<std::string> messages(const std::vector<Issue>& issues, const char* id)
{
    std::vector<std::string> found;
    for (const Issue& issue : issues) {
        if (issue.id == id) {
            found.push_back(issue.message);
        }
    }
    return found;
}

} // namespace

void GgufMixPlanTest::raisesValuesOfTheLargeLlama()
{
    ModelInfo info = dense_model(80);
    info.model_type = "llama";
    const std::string values = block_name(40) + "self_attn.v_proj"; // not among `more`
    QCOMPARE(scheme_of(build_plan(job("gguf:q4_k_m"), info), values), std::string("gguf:q5_k"));
    QCOMPARE(scheme_of(build_plan(job("gguf:q3_k_s"), info), values), std::string("gguf:q5_k"));
    info.kv_heads = info.heads;
    QCOMPARE(scheme_of(build_plan(job("gguf:q3_k_s"), info), values), std::string("gguf:q3_k"));
    info.kv_heads = 1;
    info.model_type = "qwen2";
    QCOMPARE(scheme_of(build_plan(job("gguf:q3_k_s"), info), values), std::string("gguf:q3_k"));
}

void GgufMixPlanTest::plansConcreteTypes()
{
    const Plan plan = build_plan(job("gguf:q4_k_m"), dense_model(28));
    const std::string values = block_name(5) + "self_attn.v_proj";
    QCOMPARE(scheme_of(plan, values), std::string("gguf:q6_k"));
    QCOMPARE(layer(plan, values).reason, std::string("gguf:q4_k_m: attn_v"));
    QVERIFY(layer(plan, values).as_asked);
    QCOMPARE(scheme_of(plan, block_name(6) + "mlp.down_proj"), std::string("gguf:q4_k"));
    QVERIFY(!layer(plan, "lm_head").scheme.is_quantized());
    QCOMPARE(scheme_name(resolve_scheme(job("gguf:q4_k_m").scheme)), std::string("gguf:q4_k_m"));
    // Seven layers of one size per block; two of them have 6.5625 bits in 14 of the 28 blocks.
    QCOMPARE(average_bits(plan), 4.5 + (6.5625 - 4.5) / 7);
}

void GgufMixPlanTest::readsOverridesWithMixes()
{
    JobSpec spec = job("W4A16G32");
    spec.scheme.overrides = {{"v_proj", "gguf:q4_k_m"}, {"o_proj", "gguf:q4_k"}};
    const Plan plan = build_plan(spec, dense_model(8));
    const std::string values = block_name(0) + "self_attn.v_proj";
    QCOMPARE(scheme_of(plan, values), std::string("gguf:q6_k"));
    QCOMPARE(layer(plan, values).reason, std::string("override 'v_proj', gguf:q4_k_m: attn_v"));
    QCOMPARE(scheme_of(plan, block_name(0) + "self_attn.o_proj"), std::string("gguf:q4_k"));
    QCOMPARE(scheme_of(plan, block_name(0) + "mlp.up_proj"), std::string("W4A16G32"));
}

void GgufMixPlanTest::quantizesTheHeadAsOutput()
{
    JobSpec spec = job("gguf:q3_k_s");
    spec.scheme.quant_lm_head = true;
    QCOMPARE(scheme_of(build_plan(spec, dense_model(8)), "lm_head"), std::string("gguf:q6_k"));
    spec.scheme.scheme = "gguf:q2_k_mixed";
    QCOMPARE(scheme_of(build_plan(spec, dense_model(8)), "lm_head"), std::string("gguf:q8_0"));
}

void GgufMixPlanTest::splitsExpertsFromTheRest()
{
    const Plan plan = build_plan(job("gguf:q2_k_mixed"), expert_model(2, 8));
    QCOMPARE(scheme_of(plan, block_name(1) + "self_attn.v_proj"), std::string("gguf:q4_k"));
    QCOMPARE(
        scheme_of(plan, block_name(1) + "block_sparse_moe.experts.7.w2"), std::string("gguf:q2_k"));
}

void GgufMixPlanTest::takesAnotherTypeWhereSuperBlocksDoNotFit_data()
{
    QTest::addColumn<QString>("asked");
    QTest::addColumn<QString>("given");
    QTest::newRow("q2_k") << "q2_k"
                          << "q4_0";
    QTest::newRow("q3_k") << "q3_k"
                          << "q4_0";
    QTest::newRow("q4_k") << "q4_k"
                          << "q5_0";
    QTest::newRow("q5_k") << "q5_k"
                          << "q5_1";
    QTest::newRow("q6_k") << "q6_k"
                          << "q8_0";
}

void GgufMixPlanTest::takesAnotherTypeWhereSuperBlocksDoNotFit()
{
    QFETCH(QString, asked);
    QFETCH(QString, given);
    ModelInfo info = dense_model(1);
    for (LayerInfo& layer : info.layers) {
        layer.columns = 960;
    }
    const Plan plan = build_plan(job(("gguf:" + asked).toUtf8().constData()), info);
    const PlannedLayer& planned = layer(plan, block_name(0) + "mlp.up_proj");
    QCOMPARE(QString::fromStdString(scheme_name(planned.scheme)), "gguf:" + given);
    QCOMPARE(QString::fromStdString(planned.reason),
        QStringLiteral("shape: 960 columns, not a multiple of 256, so %1 instead of %2")
            .arg(given, asked));
    QVERIFY(!planned.as_asked);
}

void GgufMixPlanTest::reportsOtherTypesAsWhatTheyAre()
{
    ModelInfo info = dense_model(1);
    info.layers[5].columns = 960; // up
    info.layers[6].columns = 960; // down, q6_k in the mix
    info.layers[0].columns = 40;
    const auto found = messages(check(job("gguf:q4_k_m"), &info), "V03");
    const auto mentions = [&](const char* first, const char* second) {
        return std::any_of(found.begin(), found.end(), [&](const std::string& message) {
            return message.find(first) != std::string::npos
                && message.find(second) != std::string::npos;
        });
    };
    QVERIFY(mentions("1 layers get gguf:q5_0", "mlp.up_proj"));
    QVERIFY(mentions("1 layers get gguf:q8_0", "mlp.down_proj"));
    QVERIFY(mentions("1 layers stay at 16 bits", "self_attn.q_proj"));
}

void GgufMixPlanTest::letsAttentionDifferButNotExperts()
{
    ModelInfo dense = dense_model(8);
    for (LayerInfo& layer : dense.layers) {
        layer.unit = layer.block_index < 0 ? "" : block_name(layer.block_index) + "qkv";
    }
    QVERIFY(messages(check(job("gguf:q4_k_m"), &dense), "V26").empty());
    const ModelInfo experts = expert_model(8, 4);
    QVERIFY(messages(check(job("gguf:q4_k_m"), &experts), "V26").empty());
    JobSpec spec = job("gguf:q4_k_m");
    spec.scheme.overrides = {{"experts.2.w1", "gguf:q8_0"}};
    QCOMPARE(messages(check(spec, &experts), "V26").size(), std::size_t{1});
}

BITSMITH_TEST(GgufMixPlanTest)
#include "gguf_mix_plan_test.moc"
