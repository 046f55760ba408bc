// SPDX-License-Identifier: GPL-3.0-or-later
// What configurations say about inputs of layers and the key/value cache.
#include "coded_check.h"
#include "source/auto_round_source.h"
#include "source/compressed_tensors_source.h"
#include "source/fp8_source.h"
#include "support/expect_error.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;

class RuntimeRoundingTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void findsTheGroupOfALayer();
    void readsInputsOfCompressedTensors_data();
    void readsInputsOfCompressedTensors();
    void prefersExceptionsOfAutoRound();
    void followsTheActivationScheme_data();
    void followsTheActivationScheme();
    void isAbsentWhereWeightsAreAll();
    void keepsTheCalibratedScaleWithTheCodes();
    void readsScalesOfTheCache();
};

namespace {

/// FP8 weights with one scale per row, of layers "a.x" to "a.z".
TensorMap fp8_layers(const std::vector<std::string>& names)
{
    TensorMap tensors;
    for (const std::string& name : names) {
        tensors.emplace(name + ".weight", at::ones({2, 32}).to(at::kFloat8_e4m3fn));
        tensors.emplace(name + ".weight_scale", at::ones({2, 1}));
        tensors.emplace(name + ".input_scale", at::full({1}, 0.5F));
    }
    return tensors;
}

Json inputs(const char* strategy, bool dynamic, int64_t bits = 8)
{
    return {{"num_bits", bits}, {"type", "float"}, {"symmetric", true}, {"strategy", strategy},
        {"dynamic", dynamic}};
}

Json group_of(const Json& targets, const Json& inputs)
{
    return {{"targets", targets}, {"weights", {{"num_bits", 8}, {"type", "float"}}},
        {"input_activations", inputs}};
}

Json config_of(const Json& groups)
{
    return {{"quant_method", "compressed-tensors"}, {"config_groups", groups}};
}

std::string name_of(const source::DecodedSource& opened, const std::string& layer)
{
    return opened.runtime() == nullptr ? "" : scheme_name(opened.runtime()->inputs(layer).scheme);
}

} // namespace

void RuntimeRoundingTest::findsTheGroupOfALayer()
{
    const auto opened = source::open_compressed_tensors(
        config_of({{"a", group_of({"Linear"}, inputs("token", true))},
            {"b", group_of({"re:m[.](y|z)$"}, inputs("tensor", false))},
            {"c", group_of({"m.z"}, nullptr)}}),
        stored_of(fp8_layers({"m.x", "m.y", "m.z"})));
    QCOMPARE(name_of(*opened, "m.x"), std::string("FP8_DYNAMIC"));
    QCOMPARE(name_of(*opened, "m.y"), std::string("FP8_STATIC"));
    QVERIFY(!opened->runtime()->inputs("m.z").scheme.quantizes_activations());
    QVERIFY(!opened->runtime()->inputs("lm_head").scheme.quantizes_activations());
    QCOMPARE(opened->runtime()->layers(), (std::vector<std::string>{"m.x", "m.y"}));
    QCOMPARE(opened->runtime()->warnings(), std::vector<std::string>());
    QVERIFY(opened->codes()->schemes().at("m.x") == parse_scheme("FP8_DYNAMIC"));
    QCOMPARE(different_layer(*opened), std::string());
}

void RuntimeRoundingTest::readsInputsOfCompressedTensors_data()
{
    QTest::addColumn<QByteArray>("changes");
    QTest::addColumn<std::string>("reason"); // empty: rounded
    const auto row = [](const char* changes, const char* reason) {
        QTest::newRow(changes) << QByteArray(changes) << std::string(reason);
    };
    row("{}", "");
    row(R"({"type": "int"})", "");
    row(R"({"type": "int", "num_bits": 4, "symmetric": false})", "");
    row(R"({"strategy": "group", "group_size": 16})", "");
    row(R"({"num_bits": 16})", "not at all");
    row(R"({"type": "int", "strategy": "tensor", "dynamic": false})", "static scales");
    row(R"({"strategy": "tensor"})", "run time");
    row(R"({"strategy": "channel"})", "no groups");
    row(R"({"num_bits": 4})", "8 bits");
}

void RuntimeRoundingTest::readsInputsOfCompressedTensors()
{
    QFETCH(QByteArray, changes);
    QFETCH(std::string, reason);
    Json arguments = inputs("token", true);
    arguments.update(parse_json(changes.toStdString(), "test"));
    const auto opened = source::open_compressed_tensors(
        config_of({{"a", group_of({"Linear"}, arguments)}}), stored_of(fp8_layers({"p"})));
    if (reason == "not at all") {
        QVERIFY(opened->runtime() == nullptr);
        return;
    }
    QCOMPARE(opened->runtime()->layers(), std::vector<std::string>{"p"});
    const auto warnings = opened->runtime()->warnings();
    QCOMPARE(warnings.empty(), reason.empty());
    QCOMPARE(opened->runtime()->inputs("p").scheme.quantizes_activations(), reason.empty());
    QVERIFY(reason.empty() || warnings.front().find(reason) != std::string::npos);
}

void RuntimeRoundingTest::prefersExceptionsOfAutoRound()
{
    const auto opened = source::open_auto_round(
        {{"quant_method", "auto-round"}, {"packing_format", "auto_round:fp8_static"}, {"bits", 8},
            {"data_type", "fp"}, {"act_bits", 8}, {"act_data_type", "fp"}, {"act_group_size", 0},
            {"act_dynamic", false},
            {"extra_config",
                {{"m.x", {{"act_dynamic", true}, {"act_group_size", -1}}},
                    {".*y", {{"act_bits", 16}}}}}},
        stored_of(fp8_layers({"m.x", "m.y", "m.z"})));
    QCOMPARE(name_of(*opened, "m.x"), std::string("FP8_DYNAMIC"));
    QVERIFY(!opened->runtime()->inputs("m.y").scheme.quantizes_activations());
    QCOMPARE(name_of(*opened, "m.z"), std::string("FP8_STATIC"));
    QCOMPARE(opened->runtime()->inputs("m.z").largest.item<float>(), 224.0F);
}

void RuntimeRoundingTest::followsTheActivationScheme_data()
{
    QTest::addColumn<QByteArray>("word");
    QTest::addColumn<bool>("is_tiled");
    QTest::addColumn<int>("group");
    QTest::newRow("per token") << QByteArray("dynamic") << false << -1;
    QTest::newRow("calibrated") << QByteArray("static") << false << 0;
    QTest::newRow("tiles") << QByteArray("dynamic") << true << 16;
}

void RuntimeRoundingTest::followsTheActivationScheme()
{
    QFETCH(QByteArray, word);
    QFETCH(bool, is_tiled);
    QFETCH(int, group);
    TensorMap tensors = fp8_layers({"p"});
    Json config = {{"quant_method", "fp8"}, {"activation_scheme", word.toStdString()}};
    if (is_tiled) {
        config["weight_block_size"] = {2, 16};
        tensors["p.weight_scale"] = at::ones({1, 2});
    }
    const auto opened = source::open_fp8(config, stored_of(tensors));
    const source::InputRounding found = opened->runtime()->inputs("p");
    QCOMPARE(found.scheme.act_data_type, DataType::Fp8);
    QCOMPARE(found.scheme.act_group_size, int64_t(group));
    QCOMPARE(found.scheme.act_dynamic, word == "dynamic");
    QCOMPARE(found.largest.defined(), word == "static");
}

void RuntimeRoundingTest::isAbsentWhereWeightsAreAll()
{
    const auto opened = source::open_compressed_tensors(
        config_of({{"a", group_of({"Linear"}, nullptr)}}), stored_of(fp8_layers({"p"})));
    QVERIFY(opened->runtime() == nullptr);
}

void RuntimeRoundingTest::keepsTheCalibratedScaleWithTheCodes()
{
    TensorMap tensors = fp8_layers({"p"});
    const Json config = config_of({{"a", group_of({"Linear"}, inputs("tensor", false))}});
    const auto opened = source::open_compressed_tensors(config, stored_of(tensors));
    QCOMPARE(opened->codes()->load("p").input_max.item<float>(), 224.0F);
    tensors.erase("p.input_scale");
    const auto without = source::open_compressed_tensors(config, stored_of(tensors));
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"p.input_scale"}), without->runtime()->inputs("p"));
}

void RuntimeRoundingTest::readsScalesOfTheCache()
{
    Json config = config_of({{"a", group_of({"Linear"}, nullptr)}});
    config["kv_cache_scheme"] = inputs("tensor", false);
    TensorMap tensors = fp8_layers({"p"});
    tensors["attn.k_scale"] = at::full({1}, 2.0F);
    tensors["attn.v_scale"] = at::full({}, 0.25F).to(at::kBFloat16);
    const auto opened = source::open_compressed_tensors(config, stored_of(tensors));
    const quant::CacheMaxima maxima = opened->runtime()->cache("attn");
    QCOMPARE(maxima.keys.item<float>(), 896.0F);
    QCOMPARE(maxima.values.item<float>(), 112.0F);
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"other.k_scale"}), opened->runtime()->cache("other"));
    config["kv_cache_scheme"]["strategy"] = "attn_head";
    const auto by_head = source::open_compressed_tensors(config, stored_of(tensors));
    QVERIFY(!by_head->runtime()->cache("attn").defined());
    QCOMPARE(by_head->runtime()->warnings().size(), std::size_t(1));
}

BITSMITH_TEST(RuntimeRoundingTest)
#include "runtime_rounding_test.moc"
