// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_awq.h"
#include "export/auto_gptq.h"
#include "export/auto_round.h"
#include "export/compressed_tensors_config.h"
#include "export/joined_layers.h"
#include "support/export_model.h"
#include "support/scheme_of.h"
#include "support/test_main.h"

#include <QtTest>

#include <algorithm>

using namespace bitsmith;
using namespace bitsmith::exporting;

class JoinedLayersTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void namesALayerWhosePartsAreAllGiven();
    void givesALayerTheRuleOfAllItsParts();
    void leavesExpertsAlone();
    void areKeptInEveryFormat();
    void haveTheirSchemeInEveryFormat();
};

namespace {

const std::string kAttention = "model.layers.0.self_attn.";
const std::vector<std::string> kParts = {
    kAttention + "q_proj", kAttention + "k_proj", kAttention + "v_proj"};
const std::string kJoined = kAttention + "qkv_proj";

LayerInfo layer_of(const std::string& name, const std::string& unit)
{
    LayerInfo layer;
    layer.name = name;
    layer.unit = unit;
    return layer;
}

ModelInfo attention()
{
    ModelInfo model;
    for (const std::string& part : kParts) {
        model.layers.push_back(layer_of(part, kAttention + "qkv"));
    }
    model.layers.push_back(layer_of(kAttention + "o_proj", kAttention + "o_proj"));
    model.layers.push_back(layer_of("lm_head", ""));
    return model;
}

/// Four bits, and q, k and v of the first block otherwise.
test::ExportModel planned(const Scheme& scheme)
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    for (const std::string& part : kParts) {
        model.plan_layer(part, scheme);
    }
    for (LayerInfo& layer : model.model.info.layers) {
        if (std::find(kParts.begin(), kParts.end(), layer.name) != kParts.end()) {
            layer.unit = kAttention + "qkv";
        }
    }
    return model;
}

bool has(const Json& names, const std::string& name)
{
    return std::find(names.begin(), names.end(), Json(name)) != names.end();
}

} // namespace

void JoinedLayersTest::namesALayerWhosePartsAreAllGiven()
{
    std::vector<std::string> given = {"lm_head", kParts[0], kParts[1]};
    QCOMPARE(with_joined_layers(attention(), given), given);
    given.push_back(kParts[2]);
    given.push_back(kAttention + "o_proj");
    std::vector<std::string> expected = given;
    expected.push_back(kJoined);
    QCOMPARE(with_joined_layers(attention(), given), expected);
}

void JoinedLayersTest::givesALayerTheRuleOfAllItsParts()
{
    Json rules = {{kParts[0], {{"bits", 8}}}, {kParts[1], {{"bits", 8}}}};
    QCOMPARE(with_joined_rules(attention(), rules), rules);
    rules[kParts[2]] = {{"bits", 3}};
    QCOMPARE(with_joined_rules(attention(), rules), rules);
    rules[kParts[2]] = {{"bits", 8}};
    QCOMPARE(with_joined_rules(attention(), rules)[kJoined], Json({{"bits", 8}}));
    rules = {{kAttention + "o_proj", Json::object()}};
    QCOMPARE(with_joined_rules(attention(), rules), rules);
}

void JoinedLayersTest::leavesExpertsAlone()
{
    const std::string experts = "model.layers.0.mlp.experts.";
    const std::vector<std::string> given = {experts + "0.gate_proj", experts + "0.up_proj"};
    ModelInfo model;
    for (const std::string& part : given) {
        model.layers.push_back(layer_of(part, experts + "gate_up"));
    }
    QCOMPARE(with_joined_layers(model, given), given);
}

void JoinedLayersTest::areKeptInEveryFormat()
{
    const test::ExportModel model = planned(keep_scheme());
    const ExportInput input = model.input();
    QVERIFY(has(auto_awq_config(input)["modules_to_not_convert"], kJoined));
    QVERIFY(has(compressed_tensors_config(input)["ignore"], kJoined));
    QCOMPARE(auto_round_config(input)["extra_config"][kJoined]["bits"], Json(16));
    QCOMPARE(auto_gptq_config(input)["dynamic"][R"(-:^model\.layers\.0\.self_attn\.qkv_proj$)"],
        Json::object());
}

void JoinedLayersTest::haveTheirSchemeInEveryFormat()
{
    const test::ExportModel model = planned(scheme_of(8, 32));
    const ExportInput input = model.input();
    const std::string target =
        R"(re:^(model\.layers\.0\.self_attn\.q_proj|model\.layers\.0\.self_attn\.qkv_proj)$)";
    const Json targets = compressed_tensors_config(input)["config_groups"]["group_0"]["targets"];
    QVERIFY(has(targets, target));
    QVERIFY(!has(targets, kParts[0])); // else the expression would be nobody's first match
    QCOMPARE(auto_round_config(input)["extra_config"][kJoined]["bits"], Json(8));
    const Json dynamic = auto_gptq_config(input)["dynamic"];
    QCOMPARE(dynamic[R"(+:^model\.layers\.0\.self_attn\.qkv_proj$)"]["bits"], Json(8));
}

BITSMITH_TEST(JoinedLayersTest)
#include "joined_layers_test.moc"
