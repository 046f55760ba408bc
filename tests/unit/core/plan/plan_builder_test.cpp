// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/check.h>

#include <QtTest>

using namespace bitsmith;

class PlanBuilderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void givesEveryBlockLayerTheDefaultScheme();
    void laterOverridesWin();
    void keepsListedLayersWhateverRulesSay();
    void keepsShapesThatCannotBePacked();
    void keepsRoutersUnlessTheyAreNamedInFull();
    void quantizesTheHeadOnRequestOnly();
    void keepsATiedHead();
    void appliesSingleFieldsOfTheScheme();
    void refusesChangesOfASchemeThatDoesNotQuantize();
    void namesTheRuleWhoseSchemeCannotBeRead();
    void mixesBitsByExperts();
};

namespace {

ModelInfo model()
{
    ModelInfo info;
    info.blocks = 2;
    for (int64_t block = 0; block < 2; ++block) {
        const std::string prefix = "model.layers." + std::to_string(block) + ".";
        info.layers.push_back({prefix + "self_attn.q_proj", block, 64, 64, "BF16", 0, true, ""});
        info.layers.push_back({prefix + "self_attn.v_proj", block, 64, 64, "BF16", 0, true, ""});
        info.layers.push_back({prefix + "mlp.down_proj", block, 64, 40, "BF16", 0, true, ""});
        info.layers.push_back({prefix + "mlp.odd", block, 33, 64, "BF16", 0, true, ""});
        info.layers.push_back({prefix + "mlp.gate", block, 64, 64, "BF16", 0, false, ""});
    }
    info.layers.push_back({"lm_head", -1, 256, 64, "BF16", 0, false, ""});
    return info;
}

JobSpec job(const char* scheme)
{
    JobSpec spec;
    spec.scheme.scheme = scheme;
    return spec;
}

const PlannedLayer& layer(const Plan& plan, const char* name)
{
    const PlannedLayer* found = plan.find(name);
    BITSMITH_ASSERT(found != nullptr);
    return *found;
}

} // namespace

void PlanBuilderTest::givesEveryBlockLayerTheDefaultScheme()
{
    const Plan plan = build_plan(job("W4A16G32"), model());
    QCOMPARE(plan.layers.size(), model().layers.size());
    QCOMPARE(scheme_name(layer(plan, "model.layers.1.self_attn.q_proj").scheme),
        std::string("W4A16G32"));
    QCOMPARE(layer(plan, "model.layers.1.self_attn.q_proj").reason, std::string("default"));
    QVERIFY(!layer(plan, "lm_head").scheme.is_quantized());
}

void PlanBuilderTest::laterOverridesWin()
{
    JobSpec spec = job("W4A16G32");
    spec.scheme.overrides = {
        {"*_proj", "W8A16G32"}, {"layers.1.*", "W3A16G32"}, {"v_proj", "W2A16G32"}};
    const Plan plan = build_plan(spec, model());
    QCOMPARE(layer(plan, "model.layers.0.self_attn.q_proj").scheme.bits, int64_t{8});
    QCOMPARE(layer(plan, "model.layers.1.self_attn.v_proj").scheme.bits, int64_t{2});
    QCOMPARE(
        layer(plan, "model.layers.1.self_attn.v_proj").reason, std::string("override 'v_proj'"));
}

void PlanBuilderTest::keepsListedLayersWhateverRulesSay()
{
    JobSpec spec = job("W4A16G32");
    spec.scheme.overrides = {{"*_proj", "W8A16G32"}};
    spec.scheme.keep = {"layers.1"};
    const Plan plan = build_plan(spec, model());
    QVERIFY(!layer(plan, "model.layers.1.self_attn.q_proj").scheme.is_quantized());
    QVERIFY(layer(plan, "model.layers.0.self_attn.q_proj").scheme.is_quantized());
}

void PlanBuilderTest::keepsShapesThatCannotBePacked()
{
    const Plan packed = build_plan(job("W4A16G32"), model());
    QVERIFY(!layer(packed, "model.layers.0.mlp.down_proj").scheme.is_quantized());
    QCOMPARE(layer(packed, "model.layers.0.mlp.down_proj").reason,
        std::string("shape: 40 columns, not a multiple of 32"));
    QVERIFY(!layer(packed, "model.layers.0.mlp.down_proj").as_asked);
    QVERIFY(layer(packed, "lm_head").as_asked);
    QVERIFY(!layer(packed, "model.layers.0.mlp.odd").scheme.is_quantized());
    // GGUF rows are independent: only the columns count.
    const Plan gguf = build_plan(job("gguf:q4_0"), model());
    QVERIFY(layer(gguf, "model.layers.0.mlp.odd").scheme.is_quantized());
    QVERIFY(!layer(gguf, "model.layers.0.mlp.down_proj").scheme.is_quantized());
}

void PlanBuilderTest::keepsRoutersUnlessTheyAreNamedInFull()
{
    JobSpec spec = job("W4A16G32");
    spec.scheme.overrides = {{"*", "W8A16G32"}, {"model.layers.0.mlp.gate", "W8A16G32"}};
    const Plan plan = build_plan(spec, model());
    QCOMPARE(layer(plan, "model.layers.0.mlp.gate").scheme.bits, int64_t{8});
    QVERIFY(!layer(plan, "model.layers.1.mlp.gate").scheme.is_quantized());
}

void PlanBuilderTest::quantizesTheHeadOnRequestOnly()
{
    JobSpec spec = job("W4A16G32");
    spec.scheme.quant_lm_head = true;
    QVERIFY(layer(build_plan(spec, model()), "lm_head").scheme.is_quantized());
    spec.scheme.quant_lm_head = false;
    spec.scheme.overrides = {{"lm_head", "W8A16G32"}};
    QCOMPARE(layer(build_plan(spec, model()), "lm_head").scheme.bits, int64_t{8});
}

void PlanBuilderTest::keepsATiedHead()
{
    ModelInfo info = model();
    info.tied_head = true;
    JobSpec spec = job("W4A16G32");
    spec.scheme.quant_lm_head = true;
    spec.scheme.overrides = {{"lm_head", "W8A16G32"}};
    const Plan plan = build_plan(spec, info);
    QVERIFY(!layer(plan, "lm_head").scheme.is_quantized());
    QVERIFY(!layer(plan, "lm_head").as_asked);
}

void PlanBuilderTest::appliesSingleFieldsOfTheScheme()
{
    SchemeSection section;
    section.bits = 2;
    section.group_size = 32;
    section.sym = false;
    QCOMPARE(scheme_name(resolve_scheme(section)), std::string("W2A16G32_ASYM"));
    section.scheme = "gguf:q4_0";
    QCOMPARE(scheme_name(resolve_scheme(section)), std::string("gguf:q4_0"));
}

void PlanBuilderTest::refusesChangesOfASchemeThatDoesNotQuantize()
{
    SchemeSection section;
    section.scheme = "BF16";
    QVERIFY(!resolve_scheme(section).is_quantized());
    section.bits = 4;
    QVERIFY_EXCEPTION_THROWN(resolve_scheme(section), Error);
}

void PlanBuilderTest::namesTheRuleWhoseSchemeCannotBeRead()
{
    JobSpec spec = job("W4A16G32");
    spec.scheme.overrides = {{"*", "W8A16"}, {"v_proj", "W4A17"}};
    try {
        build_plan(spec, model());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QCOMPARE(error.context().front().second, std::string("scheme.overrides[1]"));
    }
}

/// algorithm.md 3.4.
void PlanBuilderTest::mixesBitsByExperts()
{
    ModelInfo info = model();
    info.layers.push_back({"model.layers.0.mlp.experts.3.up_proj", 0, 64, 64, "BF16", 0, true, ""});
    info.layers.push_back(
        {"model.layers.0.mlp.shared_expert.up_proj", 0, 64, 64, "BF16", 0, true, ""});
    JobSpec spec = job("w4a16_mixed");
    spec.scheme.group_size = 32;
    spec.scheme.quant_lm_head = true;
    spec.scheme.overrides = {
        {"*layers.1.*", "W3A16G32"}, {"layers.1.self_attn.v_proj", "W4A16_MIXED"}};
    const Plan plan = build_plan(spec, info);
    const auto name = [&plan](const char* of) { return scheme_name(layer(plan, of).scheme); };
    QCOMPARE(name("model.layers.0.mlp.experts.3.up_proj"), std::string("W4A16G32"));
    QCOMPARE(name("model.layers.0.mlp.shared_expert.up_proj"), std::string("W8A16G32"));
    QCOMPARE(name("model.layers.0.self_attn.q_proj"), std::string("W8A16G32"));
    QCOMPARE(name("lm_head"), std::string("W8A16G32"));
    QCOMPARE(name("model.layers.0.mlp.gate"), std::string("BF16"));
    QCOMPARE(name("model.layers.1.self_attn.q_proj"), std::string("W3A16G32"));
    QCOMPARE(name("model.layers.1.self_attn.v_proj"), std::string("W8A16"));
    QCOMPARE(layer(plan, "model.layers.0.mlp.experts.3.up_proj").reason,
        std::string("W4A16_MIXED: routed expert"));
    QVERIFY(layer(plan, "model.layers.0.self_attn.q_proj").as_asked);
    QVERIFY_EXCEPTION_THROWN(build_plan(job("bits=4,mix=w5a16_mixed"), info), Error);
}

BITSMITH_TEST(PlanBuilderTest)
#include "plan_builder_test.moc"
