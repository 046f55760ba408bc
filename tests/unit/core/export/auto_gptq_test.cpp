// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "export/auto_gptq.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "support/written_export.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <limits>
#include <regex>

using namespace bitsmith;
using namespace bitsmith::exporting;
using tensor::ZeroOffset;
using Written = test::WrittenExport<AutoGptqExporter>;

class AutoGptqTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void packsTheExampleOfTheFormat();
    void storesSymmetricZeroPointsMinusOne_data();
    void storesSymmetricZeroPointsMinusOne();
    void storesAsymmetricZeroPointsAsTheyAre();
    void writesLayersThatUnpackToTheirCodes_data();
    void writesLayersThatUnpackToTheirCodes();
    void describesLayersForReaders();
    void namesExceptionsByExactExpressions();
    void namesLayersThatNoBlockQuantizes();
    void marksAQuantizedHead();
    void storesBiasesAsFp16();
    void writesNoBiasesOfItsOwn();
    void refusesScalesThatFp16CannotHold();
    void refusesABiasThatFp16CannotHold();
    void refusesSidesThatDoNotFillWords();
    void refusesSchemesItCannotPack();
    void opensAsAModel();
    void findsChangedValues();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj"; // 64 x 96

quant::QuantizedWeight& weight_of(test::ExportModel& model, const std::string& layer = kLayer)
{
    return model.layers.layers.find(layer)->second;
}

std::vector<int64_t> words_of(const at::Tensor& words)
{
    std::vector<int64_t> values;
    for (int64_t i = 0; i < words.numel(); ++i) {
        values.push_back(static_cast<uint32_t>(words.reshape({-1})[i].item<int32_t>()));
    }
    return values;
}

/// The keys of `dynamic` that a reader applies to `layer`: match at the start, without the prefix.
std::vector<std::string> matching_keys(const Json& dynamic, const std::string& layer)
{
    std::vector<std::string> keys;
    for (const auto& [key, value] : dynamic.items()) {
        if (std::regex_search(
                layer, std::regex(key.substr(2)), std::regex_constants::match_continuous)) {
            keys.push_back(key);
        }
    }
    return keys;
}

} // namespace

void AutoGptqTest::packsTheExampleOfTheFormat()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    weight_of(model).codes[5].narrow(0, 8, 8).copy_(at::arange(1, 9));
    const Written written(model.input());
    const at::Tensor words = written.load(kLayer + ".qweight");
    QCOMPARE(words.sizes(), at::IntArrayRef({12, 64}));
    QCOMPARE(words[1][5].item<int32_t>(), -2023406815); // 0x87654321: inputs 8 to 15 of output 5
    QVERIFY(at::equal(written.load(kLayer + ".scales"), weight_of(model).scales.t()));
    QVERIFY(
        at::equal(written.load(kLayer + ".g_idx"), at::arange(3, at::kInt).repeat_interleave(32)));
    QVERIFY(written.stored()->find(kLayer + ".weight") == nullptr);
}

void AutoGptqTest::storesSymmetricZeroPointsMinusOne_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<std::vector<int64_t>>("words");
    QTest::newRow("2 bits") << 2 << std::vector<int64_t>(2, 0x55555555);
    QTest::newRow("3 bits") << 3 << std::vector<int64_t>{0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D};
    QTest::newRow("4 bits") << 4 << std::vector<int64_t>(4, 0x77777777);
    QTest::newRow("8 bits") << 8 << std::vector<int64_t>(8, 0x7F7F7F7F);
}

void AutoGptqTest::storesSymmetricZeroPointsMinusOne()
{
    QFETCH(int, bits);
    QFETCH(std::vector<int64_t>, words);
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(bits, 32));
    const Written written(model.input());
    QCOMPARE(written.quantization()["checkpoint_format"], Json("gptq"));
    // One group of the 32 rows of k_proj.
    const at::Tensor zeros = written.load("model.layers.0.self_attn.k_proj.qzeros");
    QCOMPARE(words_of(zeros[0]), words);
}

// formats.md 3.4: a zero point of 0 stored less one borrows from its neighbours.
void AutoGptqTest::storesAsymmetricZeroPointsAsTheyAre()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan_layer(kLayer, scheme_of(4, 32, false));
    weight_of(model).zeros.select(1, 0).narrow(0, 0, 8).copy_(
        at::tensor({0, 5, 8, 8, 8, 8, 8, 8}, at::kByte));
    const Written written(model.input());
    QCOMPARE(written.quantization()["checkpoint_format"], Json("gptq_v2"));
    QCOMPARE(words_of(written.load(kLayer + ".qzeros")[0])[0], int64_t(0x88888850));
    const at::Tensor sym = written.load("model.layers.0.mlp.up_proj.qzeros");
    QCOMPARE(words_of(sym)[0], int64_t(0x88888888));
    QCOMPARE(AutoGptqExporter().notes(model.input()).size(), std::size_t(2)); // float16, readers
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void AutoGptqTest::writesLayersThatUnpackToTheirCodes_data()
{
    QTest::addColumn<Scheme>("scheme");
    for (const int bits : {2, 3, 4, 8}) {
        for (const int group : {32, 64, -1}) {
            QTest::addRow("%d bits, group %d, sym", bits, group) << scheme_of(bits, group);
            QTest::addRow("%d bits, group %d, asym", bits, group) << scheme_of(bits, group, false);
        }
    }
}

void AutoGptqTest::writesLayersThatUnpackToTheirCodes()
{
    QFETCH(Scheme, scheme);
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme);
    const Written written(model.input());
    const ZeroOffset offset = scheme.sym ? ZeroOffset::MinusOne : ZeroOffset::Plain;
    for (const auto& [name, weight] : model.layers.layers) {
        const at::Tensor codes =
            tensor::unpack_gptq_codes(written.load(name + ".qweight"), scheme.bits);
        QVERIFY2(at::equal(codes, weight.codes), name.c_str());
        const at::Tensor zeros =
            tensor::unpack_gptq_zeros(written.load(name + ".qzeros"), scheme.bits, offset);
        QVERIFY2(at::equal(zeros, weight.zeros), name.c_str());
    }
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void AutoGptqTest::describesLayersForReaders()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, -1));
    const Written written(model.input());
    const Json config = written.quantization();
    QCOMPARE(config["quant_method"], Json("gptq"));
    QCOMPARE(config["bits"], Json(4));
    QCOMPARE(config["group_size"], Json(-1));
    QCOMPARE(config["sym"], Json(true));
    QCOMPARE(config["desc_act"], Json(false));
    QCOMPARE(config["lm_head"], Json(false));
    QVERIFY(!config.contains("meta")); // transformers and GPTQModel take it for something else
    QVERIFY(!config.contains("dynamic"));
    QVERIFY(!config.contains("modules_in_block_to_quantize"));
    QCOMPARE(read_json_file(written.folder / "quantize_config.json"), config);
    QCOMPARE(written.config()["torch_dtype"], Json("float16"));
    QCOMPARE(written.load("model.norm.weight").scalar_type(), at::kBFloat16);
}

void AutoGptqTest::namesExceptionsByExactExpressions()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan_layer(kLayer, scheme_of(8, 64));
    model.plan_layer("model.layers.0.mlp.up_proj", keep_scheme());
    model.model.info.layers.push_back(
        {"model.layers.1.mlp.gate", 1, 4, 64, "BF16", 512, false, {}});
    const Json dynamic = auto_gptq_config(model.input())["dynamic"];
    QCOMPARE(dynamic.size(), std::size_t(3));
    const std::vector<std::string> changed = matching_keys(dynamic, kLayer);
    QCOMPARE(changed, std::vector<std::string>{R"(+:^model\.layers\.1\.mlp\.down_proj$)"});
    QCOMPARE(dynamic[changed[0]], Json({{"bits", 8}, {"group_size", 64}, {"sym", true}}));
    const auto kept = matching_keys(dynamic, "model.layers.0.mlp.up_proj");
    QCOMPARE(kept, std::vector<std::string>{R"(-:^model\.layers\.0\.mlp\.up_proj$)"});
    QCOMPARE(matching_keys(dynamic, "model.layers.1.mlp.gate").size(), std::size_t(1));
    for (const char* usual : {"model.layers.1.mlp.gate_proj", "model.layers.10.mlp.up_proj",
             "model.layers.1.mlp.up_proj", "modelxlayers.0.mlp.up_proj"}) {
        QCOMPARE(matching_keys(dynamic, usual), std::vector<std::string>());
    }
}

void AutoGptqTest::namesLayersThatNoBlockQuantizes()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan_layer("model.layers.0.self_attn.o_proj", keep_scheme());
    QVERIFY(!auto_gptq_config(model.input()).contains("modules_in_block_to_quantize"));
    model.plan_layer("model.layers.1.self_attn.o_proj", keep_scheme());
    const Json names = auto_gptq_config(model.input())["modules_in_block_to_quantize"];
    QCOMPARE(names,
        Json::array({{"mlp.down_proj", "mlp.gate_proj", "mlp.up_proj", "self_attn.k_proj",
            "self_attn.q_proj", "self_attn.v_proj"}}));
}

void AutoGptqTest::marksAQuantizedHead()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan_layer("lm_head", scheme_of(4, 32));
    const Json config = auto_gptq_config(model.input());
    QCOMPARE(config["lm_head"], Json(true));
    QCOMPARE(config["dynamic"]["+:^lm_head$"]["bits"], Json(4));
    QVERIFY(Written(model.input()).stored()->find("lm_head.qweight") != nullptr);
}

void AutoGptqTest::storesBiasesAsFp16()
{
    Json config = test::llama_config();
    config["model_type"] = "qwen2";
    config["architectures"] = {"Qwen2ForCausalLM"};
    test::ExportModel model(config);
    model.plan_all(scheme_of(4, 32));
    const std::string bias = "model.layers.0.self_attn.q_proj.bias";
    const Written written(model.input());
    QVERIFY(at::equal(written.load(bias), model.tensors->load(bias).to(at::kHalf)));
    model.plan_layer("model.layers.0.self_attn.q_proj", keep_scheme());
    QCOMPARE(Written(model.input()).load(bias).scalar_type(), at::kBFloat16);
}

// formats.md 3.5: old loaders expect zeros where a layer has no bias; those named there do not. What
// the source has, zeros or not, stays.
void AutoGptqTest::writesNoBiasesOfItsOwn()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    QVERIFY(Written(model.input()).stored()->find(kLayer + ".bias") == nullptr);
    model.tensors->add(kLayer + ".bias", at::zeros({64}).to(at::kBFloat16));
    const Written written(model.input());
    QVERIFY(at::equal(written.load(kLayer + ".bias"), at::zeros({64}, at::kHalf)));
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
    QCOMPARE(AutoGptqExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

// formats.md 3.5: scales underflow to 0 below 6e-8 and overflow above 65504.
void AutoGptqTest::refusesScalesThatFp16CannotHold()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    weight_of(model).scales[3][1] = 1e-8F; // 0 in fp16
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({kLayer, "too small"}), Written(model.input()));
    weight_of(model).scales[3][1] = std::numeric_limits<float>::infinity(); // 1e5 in fp16
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({kLayer, "finite"}), Written(model.input()));
}

void AutoGptqTest::refusesABiasThatFp16CannotHold()
{
    Json config = test::llama_config();
    config["attention_bias"] = true;
    test::ExportModel model(config);
    model.plan_all(scheme_of(4, 32));
    const std::string bias = "model.layers.0.self_attn.q_proj.bias";
    model.tensors->load(bias)[7] = 1e6F;
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({bias}), Written(model.input()));
}

// formats.md 3.5: zero points of a row or codes of a column that do not fill words.
void AutoGptqTest::refusesSidesThatDoNotFillWords()
{
    test::ExportModel model(test::llama_config());
    for (const int bits : {3, 4}) {
        model.plan_all(scheme_of(bits, 8));
        PlannedLayer& layer = model.plan.layers[0];
        for (const auto& [rows, columns] : {std::pair{40, 64}, std::pair{64, 72}}) {
            layer.rows = rows;
            layer.columns = columns;
            EXPECT_ERROR(ShapeMismatch,
                EXPECT_WORDS({"q_proj", shape_text({rows, columns}), "multiples of 32"}),
                AutoGptqExporter().estimate_bytes(model.input()));
        }
        layer.rows = layer.columns = 64;
        QVERIFY(AutoGptqExporter().estimate_bytes(model.input()) > 0);
    }
}

void AutoGptqTest::refusesSchemesItCannotPack()
{
    const AutoGptqExporter exporter;
    for (const char* scheme : {"W2A16", "W3A16G32", "W4A16_ASYM", "W8A16", "BF16"}) {
        QCOMPARE(exporter.refusal(parse_scheme(scheme)), std::string());
    }
    for (const char* scheme : {"W5A16", "W8A8", "MXFP4", "FP8_STATIC", "gguf:q4_1"}) {
        QVERIFY2(!exporter.refusal(parse_scheme(scheme)).empty(), scheme);
    }
    QVERIFY(!exporter.refusal(scheme_of(4, kGroupPerTensor)).empty());
}

void AutoGptqTest::opensAsAModel()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    QVERIFY(AutoGptqExporter().recognizes(written.folder.path()));
    QCOMPARE(AutoGptqExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

void AutoGptqTest::findsChangedValues()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    weight_of(model).codes[3][5].bitwise_xor_(1);
    auto findings = written.findings(model.input());
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY(findings[0].find(kLayer) != std::string::npos);
    model.plan_layer("model.layers.0.mlp.up_proj", keep_scheme());
    findings = written.findings(model.input());
    QVERIFY(findings.size() > 1); // tensors, and the configuration
    QVERIFY(findings.back().find("config.json") != std::string::npos);
}

BITSMITH_TEST(AutoGptqTest)
#include "auto_gptq_test.moc"
