// SPDX-License-Identifier: GPL-3.0-or-later
#include "plan/gguf_mix.h"
#include "support/test_main.h"
#include "values/scheme_presets.h"

#include <QtTest>

using namespace bitsmith;
using plan::GgufCategory;
using plan::GgufLayer;

class GgufMixTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void givesMoreBitsToTheLayersOfTheExamples_data();
    void givesMoreBitsToTheLayersOfTheExamples();
    void followsTheTable_data();
    void followsTheTable();
    void raisesAttentionOfMixturesOfEight();
    void knowsTheLayersOfEveryFamily_data();
    void knowsTheLayersOfEveryFamily();
    void countsTheExpertsOfABlockOnce();
    void knowsTheOtherNameOfQ6K();
    void givesTablesTheTypesOfLlamaCpp_data();
    void givesTablesTheTypesOfLlamaCpp();
};

namespace {

constexpr int64_t kWidth = 512;

QString text(std::string_view view)
{
    return QString::fromUtf8(view.data(), static_cast<qsizetype>(view.size()));
}

LayerInfo linear(const std::string& name, int64_t block)
{
    return {name, block, kWidth, kWidth, "BF16", 0, true, ""};
}

std::string block_name(int64_t block)
{
    return "model.layers." + std::to_string(block) + ".";
}

GgufLayer placed(GgufCategory category, int64_t index, int64_t n_layers)
{
    GgufLayer layer;
    layer.category = category;
    layer.index = index;
    layer.n_layers = n_layers;
    return layer;
}

} // namespace

void GgufMixTest::givesMoreBitsToTheLayersOfTheExamples_data()
{
    QTest::addColumn<int>("blocks");
    QTest::addColumn<QList<int>>("more");
    // formats.md 6.8
    QTest::newRow("28") << 28 << QList<int>{0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27};
    QTest::newRow("32") << 32
                        << QList<int>{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31};
    QTest::newRow("36") << 36
                        << QList<int>{
                               0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31, 32, 33, 34, 35};
}

void GgufMixTest::givesMoreBitsToTheLayersOfTheExamples()
{
    QFETCH(int, blocks);
    QFETCH(QList<int>, more);
    for (const auto& [mix, base] : {std::pair("q4_k_m", "q4_k"), std::pair("q5_k_m", "q5_k")}) {
        for (const GgufCategory category : {GgufCategory::AttnV, GgufCategory::FfnDown}) {
            for (int i = 0; i < blocks; ++i) {
                QCOMPARE(text(gguf_layer_type(mix, placed(category, i, blocks))),
                    text(more.contains(i) ? "q6_k" : base));
            }
        }
        QCOMPARE(
            text(gguf_layer_type(mix, placed(GgufCategory::AttnOutput, 0, blocks))), text(base));
        QCOMPARE(
            text(gguf_layer_type(mix, placed(GgufCategory::FfnGateUp, 0, blocks))), text(base));
    }
}

void GgufMixTest::followsTheTable_data()
{
    QTest::addColumn<QString>("mix");
    QTest::addColumn<int>("gqa");
    QTest::addColumn<QStringList>("values"); // of attn_v: layers 0, 1, 2, 4, 31 of 32
    QTest::addColumn<QString>("attention_output");
    QTest::addColumn<QStringList>("down"); // the same layers
    const QString q2 = "q2_k", q3 = "q3_k", q4 = "q4_k", q5 = "q5_k";
    const auto all = [](const QString& type) { return QStringList(5, type); };
    QTest::newRow("q2_k_s, 4 queries per key")
        << "q2_k_s" << 4 << all(q4) << q2 << QStringList{q4, q4, q4, q2, q2};
    QTest::newRow("q2_k_s, 3 queries per key")
        << "q2_k_s" << 3 << all(q2) << q2 << QStringList{q4, q4, q4, q2, q2};
    QTest::newRow("q3_k_s") << "q3_k_s" << 8 << all(q3) << q3 << all(q3);
    QTest::newRow("q3_k_m") << "q3_k_m" << 8 << QStringList{q5, q5, q4, q4, q4} << q4
                            << QStringList{q5, q5, q4, q4, q4};
    QTest::newRow("q3_k_l") << "q3_k_l" << 8 << all(q5) << q5 << all(q5);
    QTest::newRow("q4_k_s") << "q4_k_s" << 8 << QStringList{q5, q5, q5, q4, q4} << q4
                            << QStringList{q5, q5, q5, q4, q4};
    QTest::newRow("q5_k_s") << "q5_k_s" << 8 << all(q5) << q5 << all(q5);
}

void GgufMixTest::followsTheTable()
{
    QFETCH(QString, mix);
    QFETCH(int, gqa);
    QFETCH(QString, attention_output);
    const std::string name = mix.toStdString();
    const auto type = [&](GgufCategory category, int64_t index) {
        GgufLayer layer = placed(category, index, 32);
        layer.gqa = gqa;
        return text(gguf_layer_type(name, layer));
    };
    QStringList values, down;
    for (const int64_t i : {0, 1, 2, 4, 31}) {
        values.append(type(GgufCategory::AttnV, i));
        down.append(type(GgufCategory::FfnDown, i));
        QCOMPARE(type(GgufCategory::AttnOutput, i), attention_output);
    }
    QTEST(values, "values");
    QTEST(down, "down");
    const QString base = text(find_gguf_preset(name)->base);
    for (const GgufCategory category :
        {GgufCategory::AttnQ, GgufCategory::AttnK, GgufCategory::FfnGateUp, GgufCategory::Other}) {
        QCOMPARE(type(category, 0), base);
    }
    QCOMPARE(type(GgufCategory::Output, 0), QStringLiteral("q6_k"));
}

void GgufMixTest::raisesAttentionOfMixturesOfEight()
{
    const auto type = [](const char* mix, GgufCategory category, int64_t experts) {
        GgufLayer layer = placed(category, 20, 32);
        layer.n_experts = experts;
        return text(gguf_layer_type(mix, layer));
    };
    QCOMPARE(type("q4_k_m", GgufCategory::AttnV, 8), QStringLiteral("q8_0"));
    QCOMPARE(type("q5_k_s", GgufCategory::AttnK, 8), QStringLiteral("q8_0"));
    QCOMPARE(type("q3_k_s", GgufCategory::AttnOutput, 8), QStringLiteral("q5_k"));
    QCOMPARE(type("q2_k_s", GgufCategory::AttnOutput, 8), QStringLiteral("q2_k"));
    QCOMPARE(type("q4_k_m", GgufCategory::AttnQ, 8), QStringLiteral("q4_k"));
    QCOMPARE(type("q4_k_m", GgufCategory::AttnK, 128), QStringLiteral("q4_k"));
}

void GgufMixTest::knowsTheLayersOfEveryFamily_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("category");
    const std::pair<const char*, const char*> names[] = {{"self_attn.q_proj", "attn_q"},
        {"self_attn.k_proj", "attn_k"}, {"self_attn.v_proj", "attn_v"},
        {"self_attn.qkv_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
        {"mlp.gate_proj", "ffn_gate_up"}, {"mlp.up_proj", "ffn_gate_up"},
        {"mlp.gate_up_proj", "ffn_gate_up"}, {"mlp.down_proj", "ffn_down"},
        {"mlp.experts.3.down_proj", "ffn_down"}, {"block_sparse_moe.experts.0.w1", "ffn_gate_up"},
        {"block_sparse_moe.experts.0.w2", "ffn_down"},
        {"block_sparse_moe.experts.0.w3", "ffn_gate_up"}, {"mlp.gate", "other"}};
    for (const auto& [name, category] : names) {
        QTest::newRow(name) << name << category;
    }
}

void GgufMixTest::knowsTheLayersOfEveryFamily()
{
    QFETCH(QString, name);
    ModelInfo info;
    info.blocks = 1;
    info.layers.push_back(linear(block_name(0) + name.toStdString(), 0));
    const GgufLayer layer = plan::gguf_layers(info).front();
    QTEST(text(enum_name(layer.category)), "category");
    QCOMPARE(layer.is_expert, name.contains(".experts."));
}

void GgufMixTest::countsTheExpertsOfABlockOnce()
{
    ModelInfo info;
    info.blocks = 3;
    info.experts = 2;
    for (int64_t i = 0; i < info.blocks; ++i) {
        for (const char* name :
            {"self_attn.v_proj", "mlp.experts.0.down_proj", "mlp.experts.1.down_proj"}) {
            info.layers.push_back(linear(block_name(i) + name, i));
        }
    }
    const std::vector<GgufLayer> layers = plan::gguf_layers(info);
    QCOMPARE(layers.size(), info.layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
        QCOMPARE(layers[i].index, info.layers[i].block_index);
        QCOMPARE(layers[i].n_layers, int64_t{3});
        QCOMPARE(layers[i].n_experts, int64_t{2});
    }
}

void GgufMixTest::knowsTheOtherNameOfQ6K()
{
    QCOMPARE(scheme_name(parse_scheme("gguf:q6_k_s")), std::string("gguf:q6_k"));
    QVERIFY(!is_gguf_mix(parse_scheme("gguf:q6_k")));
    QVERIFY(is_gguf_mix(parse_scheme("gguf:q5_k_s")));
    QCOMPARE(scheme_name(parse_scheme("gguf:Q5_K_S")), std::string("gguf:q5_k_s"));
}

void GgufMixTest::givesTablesTheTypesOfLlamaCpp_data()
{
    QTest::addColumn<QString>("preset");
    QTest::addColumn<int>("columns");
    QTest::addColumn<QString>("head");
    QTest::addColumn<QString>("embedding");
    const auto row = [](const char* preset, int columns, const char* head, const char* embedding) {
        QTest::addRow("%s, %d columns", preset, columns)
            << QString(preset) << columns << QString(head) << QString(embedding);
    };
    row("q4_k_m", 2048, "q6_k", "q4_k");
    row("q4_k_m", 576, "q8_0", "q5_0");
    row("q5_k_s", 576, "q8_0", "q5_1");
    row("q2_k_s", 2048, "q6_k", "q2_k");
    row("q3_k_l", 2880, "q8_0", "q4_0");
    row("q6_k", 2048, "q6_k", "q6_k");
    row("q6_k_s", 576, "q8_0", "q8_0");
    row("q4_0", 2048, "q6_k", "q4_0");
    row("q4_0", 576, "q8_0", "q4_0");
    row("q5_1", 2048, "q6_k", "q5_1");
    row("q8_0", 2048, "q8_0", "q8_0");
    row("q2_k_mixed", 2048, "q8_0", "q8_0");
}

// formats.md 6.8.
void GgufMixTest::givesTablesTheTypesOfLlamaCpp()
{
    QFETCH(QString, preset);
    QFETCH(int, columns);
    const std::string name = preset.toStdString();
    QTEST(text(gguf_table_type(name, GgufCategory::Output, columns)), "head");
    QTEST(text(gguf_table_type(name, GgufCategory::TokenEmbd, columns)), "embedding");
}

BITSMITH_TEST(GgufMixTest)
#include "gguf_mix_test.moc"
