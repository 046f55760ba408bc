// SPDX-License-Identifier: GPL-3.0-or-later
#include "coded_check.h"
#include "source/model_source.h"
#include "source/quantized_checkpoint.h"
#include "support/expect_error.h"
#include "support/scheme_of.h"
#include "support/temp_folder.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"
#include "tensor/bit_pack.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::source;

class QuantizedCheckpointTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void findsTheReaderOfEveryMethod_data();
    void findsTheReaderOfEveryMethod();
    void prefersTheDescriptionOfMlx();
    void readsDescriptionsBesideTheConfig();
    void leavesPlainModelsAlone();
    void givesTheModelItsCodes();
};

namespace {

const std::string kLayer = "model.layers.0.self_attn.q_proj"; // 128 x 64

/// Codes alone: each reader complains about what it misses first.
TensorMap incomplete()
{
    return {{"p.qweight", at::zeros({4, 32}, at::kInt)},
        {"q.weight", at::zeros({32, 32}).to(at::kFloat8_e4m3fn)},
        {"x_blocks", at::zeros({1, 2, 1, 16}, at::kByte)}};
}

const Json& emptied()
{
    static const Json config = {{"text_config", Json::object()}};
    return config;
}

} // namespace

void QuantizedCheckpointTest::findsTheReaderOfEveryMethod_data()
{
    QTest::addColumn<QByteArray>("description");
    QTest::addColumn<QString>("missing");
    const auto row = [](const char* name, const char* description, const char* missing) {
        QTest::newRow(name) << QByteArray(description) << QString(missing);
    };
    row("GPTQ", R"({"quant_method": "gptq", "bits": 4})", "p.scales");
    row("AWQ", R"({"quant_method": "AWQ"})", "p.scales");
    row("auto-round", R"({"quant_method": "auto-round"})", "p.scales");
    row("FP8", R"({"quant_method": "fp8"})", "q.weight_scale_inv");
    row("compressed-tensors", R"({"quant_method": "compressed-tensors", "config_groups": {}})",
        "q.weight_scale");
    row("MXFP4", R"({"quant_method": "mxfp4"})", "x_scales");
}

void QuantizedCheckpointTest::findsTheReaderOfEveryMethod()
{
    QFETCH(QByteArray, description);
    QFETCH(QString, missing);
    const TempFolder folder;
    Json config = {
        {"text_config", {{"quantization_config", parse_json(description.toStdString(), "test")}}}};
    try {
        open_unquantized(config, folder.path(), stored_of(incomplete()));
        QFAIL("it was opened");
    } catch (const Error& error) {
        QVERIFY2(QString(error.what()).contains(missing), error.what());
    }
    QCOMPARE(config, emptied());
}

void QuantizedCheckpointTest::prefersTheDescriptionOfMlx()
{
    const TempFolder folder;
    const Json values = {{"group_size", 32}, {"bits", 4}};
    Json config = {{"quantization", values}, {"quantization_config", values},
        {"text_config", {{"quantization", values}}}};
    const Unquantized opened = open_unquantized(config, folder.path(),
        stored_of({{"p.weight", at::zeros({2, 4}, at::kInt).view(at::kUInt32)},
            {"p.scales", at::ones({2, 1}, at::kHalf)}, {"p.biases", at::ones({2, 1}, at::kHalf)}}));
    QCOMPARE(opened.method, std::string("mlx"));
    QVERIFY(at::equal(opened.tensors->load("p.weight"), at::ones({2, 32})));
    QVERIFY(opened.codes->contains("p"));
    QCOMPARE(config, emptied());
}

void QuantizedCheckpointTest::readsDescriptionsBesideTheConfig()
{
    Json config = Json::object();
    const TempFolder gptq, awq, broken;
    gptq.write("quantize_config.json", R"({"bits": 4, "group_size": 8})");
    awq.write("quant_config.json", R"({"w_bit": 4, "q_group_size": 8, "version": "GEMM"})");
    broken.write("quantize_config.json", "[]");
    QCOMPARE(open_unquantized(config, gptq.path(), stored_of({})).method, std::string("gptq"));
    QCOMPARE(open_unquantized(config, awq.path(), stored_of({})).method, std::string("awq"));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"unnamed"}),
        open_unquantized(config, broken.path(), stored_of({})));
}

void QuantizedCheckpointTest::leavesPlainModelsAlone()
{
    const TempFolder folder;
    Json config = {{"hidden_size", 8}};
    const auto stored = stored_of(incomplete());
    const Unquantized opened = open_unquantized(config, folder.path(), stored);
    QVERIFY(opened.tensors == stored);
    QVERIFY(opened.method.empty() && opened.codes == nullptr);
}

void QuantizedCheckpointTest::givesTheModelItsCodes()
{
    at::manual_seed(3);
    const auto weight = test::random_weight(scheme_of(4, 32), 128, 64);
    const TinyCheckpoint tiny;
    QVERIFY(open_model(tiny.path())->coded == nullptr);
    tiny.edit_tensors([&](TinyCheckpoint::Tensors& tensors) {
        TinyCheckpoint::erase(tensors, kLayer + ".weight");
        tensors.emplace_back(kLayer + ".qweight", tensor::pack_gptq_codes(weight.codes, 4));
        tensors.emplace_back(kLayer + ".qzeros",
            tensor::pack_gptq_zeros(weight.zeros, 4, tensor::ZeroOffset::MinusOne));
        tensors.emplace_back(kLayer + ".scales", weight.scales.t().contiguous());
        tensors.emplace_back(
            kLayer + ".g_idx", at::arange(64, at::kLong).div(32, "floor").to(at::kInt));
    });
    tiny.edit_config([](Json& config) {
        config["quantization_config"] = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}};
    });
    const auto opened = open_model(tiny.path());
    QCOMPARE(opened->info.quantization, std::string("gptq"));
    QCOMPARE(opened->coded->schemes().size(), std::size_t(1));
    QVERIFY(at::equal(opened->coded->load(kLayer).codes, weight.codes));
    QVERIFY(at::equal(opened->tensors->load(kLayer + ".weight"), test::expected_values(weight)));
}

BITSMITH_TEST(QuantizedCheckpointTest)
#include "quantized_checkpoint_test.moc"
