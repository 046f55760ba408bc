// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_awq.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "support/written_export.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using Written = test::WrittenExport<AutoAwqExporter>;

class AutoAwqTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void packsTheExampleOfTheFormat();
    void writesLayersThatUnpackToTheirCodes_data();
    void writesLayersThatUnpackToTheirCodes();
    void describesLayersForReaders();
    void namesEveryKeptLayer();
    void refusesPlansThatReadersMistake();
    void refusesLayersThatDoNotFillGroups();
    void refusesSchemesItCannotPack();
    void opensAsAModel();
    void findsChangedValues();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj"; // 64 x 96

} // namespace

void AutoAwqTest::packsTheExampleOfTheFormat()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    quant::QuantizedWeight& weight = model.layers.layers.find(kLayer)->second;
    weight.codes.select(1, 17).narrow(0, 24, 8).copy_(at::arange(8));
    const Written written(model.input());
    const at::Tensor words = written.load(kLayer + ".qweight");
    QCOMPARE(words.sizes(), at::IntArrayRef({96, 8}));
    QCOMPARE(words[17][3].item<int32_t>(), 1966171168); // 0x75316420: outputs 24 to 31
    const at::Tensor zeros = written.load(kLayer + ".qzeros");
    QCOMPARE(zeros.sizes(), at::IntArrayRef({3, 8}));
    QVERIFY(zeros.eq(-2004318072).all().item<bool>()); // 0x88888888, not minus one
    QVERIFY(at::equal(written.load(kLayer + ".scales"), weight.scales.t()));
    QVERIFY(written.stored()->find(kLayer + ".g_idx") == nullptr);
}

void AutoAwqTest::writesLayersThatUnpackToTheirCodes_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::newRow("group 16, sym") << scheme_of(4, 16);
    QTest::newRow("group 32, sym") << scheme_of(4, 32);
    QTest::newRow("group 16, asym") << scheme_of(4, 16, false);
    QTest::newRow("group 32, asym") << scheme_of(4, 32, false);
}

void AutoAwqTest::writesLayersThatUnpackToTheirCodes()
{
    QFETCH(Scheme, scheme);
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme);
    const Written written(model.input());
    for (const auto& [name, weight] : model.layers.layers) {
        QVERIFY2(at::equal(tensor::unpack_awq(written.load(name + ".qweight")), weight.codes),
            name.c_str());
        QVERIFY2(at::equal(tensor::unpack_awq(written.load(name + ".qzeros")), weight.zeros),
            name.c_str());
    }
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void AutoAwqTest::describesLayersForReaders()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32, false));
    const Written written(model.input());
    const Json config = written.quantization();
    QCOMPARE(config["quant_method"], Json("awq"));
    QCOMPARE(config["version"], Json("gemm"));
    QCOMPARE(config["bits"], Json(4));
    QCOMPARE(config["group_size"], Json(32));
    QCOMPARE(config["zero_point"], Json(true));
    QCOMPARE(config["modules_to_not_convert"], Json::array({"lm_head"}));
    QCOMPARE(written.config()["torch_dtype"], Json("float16"));
    QCOMPARE(AutoAwqExporter().notes(model.input()).size(), std::size_t(1)); // float16
    model.plan_all(scheme_of(4, 32));
    QCOMPARE(auto_awq_config(model.input())["zero_point"], Json(false));
}

void AutoAwqTest::namesEveryKeptLayer()
{
    Json llama = test::llama_config();
    llama["tie_word_embeddings"] = true;
    test::ExportModel model(llama);
    model.plan_all(scheme_of(4, 32));
    model.plan_layer("model.layers.1.self_attn.o_proj", keep_scheme());
    model.tensors->add("vision_tower.proj.weight", at::zeros({8, 8}));
    QCOMPARE(auto_awq_config(model.input())["modules_to_not_convert"],
        Json::array({"model.layers.1.self_attn.o_proj", "vision_tower.proj", "lm_head"}));
}

void AutoAwqTest::refusesPlansThatReadersMistake()
{
    const AutoAwqExporter exporter;
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    QVERIFY(exporter.estimate_bytes(model.input()) > 0);

    model.plan_layer(kLayer, scheme_of(4, 32, false));
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({"one scheme", kLayer, "W4A16G32_ASYM"}),
        exporter.estimate_bytes(model.input()));
    model.plan_layer(kLayer, scheme_of(4, 32));
    model.plan_layer("lm_head", scheme_of(4, 32));
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({"lm_head"}), Written(model.input()));
    model.plan_layer("lm_head", keep_scheme());
    // Readers search for the kept names, and find this one in gate_proj.
    model.model.info.layers.push_back(
        {"model.layers.1.mlp.gate", 1, 4, 64, "BF16", 512, false, {}});
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({"model.layers.1.mlp.gate_proj"}),
        exporter.estimate_bytes(model.input()));
}

void AutoAwqTest::refusesLayersThatDoNotFillGroups()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 64)); // down_proj has 96 columns
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"down_proj", "[64, 96]", "whole groups"}),
        AutoAwqExporter().estimate_bytes(model.input()));
    model.plan_all(scheme_of(4, 32));
    model.plan.layers[0].rows = 60;
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"q_proj", "multiples of 8"}),
        AutoAwqExporter().estimate_bytes(model.input()));
}

void AutoAwqTest::refusesSchemesItCannotPack()
{
    const AutoAwqExporter exporter;
    for (const char* scheme : {"W4A16", "W4A16G32_ASYM", "BF16"}) {
        QCOMPARE(exporter.refusal(parse_scheme(scheme)), std::string());
    }
    for (const char* scheme :
        {"W2A16", "W8A16", "W4A16G-1", "W4A16G256", "W4A4", "MXFP4", "gguf:q4_1"}) {
        QVERIFY2(!exporter.refusal(parse_scheme(scheme)).empty(), scheme);
    }
}

void AutoAwqTest::opensAsAModel()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32, false));
    const Written written(model.input());
    QVERIFY(AutoAwqExporter().recognizes(written.folder.path()));
    QCOMPARE(AutoAwqExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

void AutoAwqTest::findsChangedValues()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32, false));
    const Written written(model.input());
    model.layers.layers.find(kLayer)->second.codes[3][5].bitwise_xor_(1);
    const auto findings = written.findings(model.input());
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY(findings[0].find(kLayer) != std::string::npos);
}

BITSMITH_TEST(AutoAwqTest)
#include "auto_awq_test.moc"
