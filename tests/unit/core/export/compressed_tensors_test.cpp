// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/compressed_tensors.h"
#include "export/compressed_tensors_config.h"
#include "export/compressed_tensors_layout.h"
#include "source/compressed_tensors_source.h"
#include "source/hf_weights.h"
#include "support/encoded_plan.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using test::plan_encoded;

class CompressedTensorsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void packsGoldenWords();
    void writesTheExampleOfNvfp4();
    void writesLayersThatDecodeToTheirValues_data();
    void writesLayersThatDecodeToTheirValues();
    void describesMixedSchemesByName();
    void storesScalesOfActivations();
    void unTiesAQuantizedHead();
    void opensAsAModel();
    void findsChangedValues();
    void findsAnotherConfiguration();
    void wantsTheLargestActivation();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj"; // 64 x 96

struct Written
{
    explicit Written(const ExportInput& input)
    {
        NullObserver observer;
        EventEmitter events(observer);
        RunContext context{events, {}};
        CompressedTensorsExporter().write(context, disk(), input, folder.path());
    }
    Json config() const { return read_json_file(folder / "config.json"); }
    Json quantization() const { return config()["quantization_config"]; }
    std::shared_ptr<const tensor::TensorSource> stored() const
    {
        return source::open_hf_weights(folder.path()).tensors;
    }
    std::shared_ptr<const tensor::TensorSource> decoded() const
    {
        return source::open_compressed_tensors(quantization(), stored());
    }
    std::vector<std::string> findings(const test::ExportModel& model) const
    {
        const ExportInput input = model.input();
        return CompressedTensorsExporter().verify(folder.path(), &input);
    }
    TempFolder folder;
};

quant::QuantizedWeight weight_of(const std::string& scheme, const std::vector<int64_t>& codes)
{
    quant::QuantizedWeight weight;
    weight.scheme = parse_scheme(scheme);
    weight.codes = at::tensor(codes, at::kLong).to(at::kByte).unsqueeze(0);
    return weight;
}

/// Tiles that fit neither side.
Scheme small_tiles()
{
    Scheme scheme = parse_scheme("FP8_BLOCK");
    scheme.group_rows = 40;
    scheme.group_size = scheme.act_group_size = 24;
    return scheme;
}

} // namespace

void CompressedTensorsTest::packsGoldenWords()
{
    const auto word = [](const std::string& scheme, const std::vector<int64_t>& codes) {
        return compressed_codes(weight_of(scheme, codes)).item<int64_t>();
    };
    QCOMPARE(word("W4A16", {0, 1, 2, 7, 8, 9, 14, 15}), int64_t(-23563760));
    QCOMPARE(word("W4A16", {1, 2, 3, 4, 5, 6, 7, 8}), int64_t(-2023406815));
    QCOMPARE(word("W8A16", {1, 2, 128, 255}), int64_t(-8388095));
    QCOMPARE(word("W2A16", {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}), int64_t(-454761244));
    QCOMPARE(word("W4A16", {1, 2, 3}), int64_t(0x321));
    QCOMPARE(word("MXFP4", {1, 15}), int64_t(0xF1));
    QVERIFY(at::equal(compressed_codes(weight_of("W8A8", {0, 128, 255})),
        at::tensor({-128, 0, 127}, at::kChar).unsqueeze(0)));
    const at::Tensor numbers = compressed_codes(weight_of("FP8_DYNAMIC", {0x76, 0x40, 0xFE}));
    QCOMPARE(numbers.scalar_type(), at::kFloat8_e4m3fn);
    QVERIFY(at::equal(numbers.to(at::kFloat), at::tensor({224.0F, 2.0F, -448.0F}).unsqueeze(0)));

    quant::QuantizedWeight weight;
    weight.scheme = parse_scheme("W4A16_ASYM");
    weight.codes = at::zeros({8, 4}, at::kByte);
    weight.zeros = at::tensor({0, 5, 8, 8, 8, 8, 8, 8}, at::kByte).unsqueeze(1);
    QCOMPARE(compressed_zeros(weight).item<int64_t>(), int64_t(static_cast<int32_t>(0x88888850U)));
}

void CompressedTensorsTest::writesTheExampleOfNvfp4()
{
    const Scheme scheme = parse_scheme("NVFP4A16");
    at::Tensor values = at::zeros({1, 32});
    values[0][0] = 0.75F;
    values[0][1] = -1.5F;
    values[0][16] = 3.0F;
    const quant::QuantizedWeight weight = quant::codec_for(scheme).encode(values, scheme, {});
    QCOMPARE(weight.super_scales.item<float>(), 896.0F);
    QCOMPARE(weight.scales[0][0].item<int>(), 0x76);
    QCOMPARE(weight.scales[0][1].item<int>(), 0x7E);
    QCOMPARE(compressed_codes(weight)[0][0].item<int>(), 0xF5);
    QCOMPARE(compressed_codes(weight)[0][8].item<int>(), 0x07);
}

void CompressedTensorsTest::writesLayersThatDecodeToTheirValues_data()
{
    QTest::addColumn<Scheme>("scheme");
    for (const char* name : {"W2A16G32", "W4A16G32", "W8A16G32", "W4A16", "W4A16G-1",
             "W2A16G32_ASYM", "W4A16G32_ASYM", "W8A16G32_ASYM", "W4A16G-1_ASYM", "W8A8",
             "W8A8_ASYM", "W4A8", "W4A8G32", "W4A4", "FP8_STATIC", "FP8_DYNAMIC", "FP8_BLOCK",
             "FPW8A16", "MXFP4", "MXFP4A16", "MXFP8", "MXFP8A16", "NVFP4", "NVFP4A16"}) {
        QTest::newRow(name) << parse_scheme(name);
    }
    QTest::newRow("FP8 in small tiles") << small_tiles();
}

void CompressedTensorsTest::writesLayersThatDecodeToTheirValues()
{
    QFETCH(Scheme, scheme);
    test::ExportModel model(test::llama_config());
    plan_encoded(model, scheme);
    const Written written(model.input());
    const auto decoded = written.decoded();
    QCOMPARE(decoded->entries().size(), model.tensors->entries().size());
    for (const auto& [name, weight] : model.layers.layers) {
        const at::Tensor expected = quant::codec_for(scheme).decode(weight);
        QVERIFY2(at::equal(decoded->load(name + ".weight"), expected), name.c_str());
        QVERIFY(decoded->find(name + ".weight")->shape == expected.sizes().vec());
    }
    QVERIFY(
        at::equal(decoded->load("model.norm.weight"), model.tensors->load("model.norm.weight")));
    QCOMPARE(written.findings(model), std::vector<std::string>());
}

void CompressedTensorsTest::describesMixedSchemesByName()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G32"));
    plan_encoded(model, kLayer, parse_scheme("FP8_DYNAMIC"));
    plan_encoded(model, "model.layers.0.mlp.down_proj", parse_scheme("FP8_DYNAMIC"));
    const Written written(model.input());
    const Json config = written.quantization();
    QCOMPARE(config["format"], Json("mixed-precision"));
    QCOMPARE(config["config_groups"].size(), std::size_t(2));
    const Json& group = config["config_groups"]["group_1"];
    QCOMPARE(group["targets"], Json::array({"model.layers.0.mlp.down_proj", kLayer}));
    QCOMPARE(group["format"], Json("float-quantized"));
    QCOMPARE(group["input_activations"]["strategy"], Json("token"));
    QCOMPARE(config["config_groups"]["group_0"]["targets"].size(), std::size_t(12));
    QCOMPARE(config["config_groups"]["group_0"]["input_activations"], Json());
    QCOMPARE(written.findings(model), std::vector<std::string>());
}

void CompressedTensorsTest::storesScalesOfActivations()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("NVFP4"));
    plan_encoded(model, kLayer, parse_scheme("FP8_STATIC"));
    const Written written(model.input());
    const auto stored = written.stored();
    const auto value = [&](const std::string& name) { return stored->load(name).item<float>(); };
    QCOMPARE(value("model.layers.0.mlp.up_proj.input_global_scale"), 2688.0F / 3.5F);
    QCOMPARE(value(kLayer + ".input_scale"), 3.5F / 448.0F);
}

void CompressedTensorsTest::unTiesAQuantizedHead()
{
    Json llama = test::llama_config();
    llama["tie_word_embeddings"] = true;
    test::ExportModel model(llama);
    plan_encoded(model, parse_scheme("W4A16G32"));
    QCOMPARE(compressed_tensors_config(model.input())["ignore"], Json::array({"lm_head"}));
    model.plan.layers.push_back({"lm_head", -1, 288, 64, keep_scheme(), "asked for"});
    plan_encoded(model, "lm_head", parse_scheme("W8A16G32"));
    const Written written(model.input());
    QCOMPARE(written.config()["tie_word_embeddings"], Json(false));
    QCOMPARE(written.quantization()["ignore"], Json::array());
    QVERIFY(written.stored()->find("lm_head.weight_packed") != nullptr);
    QVERIFY(written.stored()->find("model.embed_tokens.weight") != nullptr);
}

void CompressedTensorsTest::opensAsAModel()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("FP8_STATIC"));
    const Written written(model.input());
    QVERIFY(CompressedTensorsExporter().recognizes(written.folder.path()));
    QCOMPARE(CompressedTensorsExporter().verify(written.folder.path(), nullptr),
        std::vector<std::string>());
    const auto opened = source::open_model(written.folder.path().string());
    QCOMPARE(opened->info.quantization, std::string("compressed-tensors"));
    QCOMPARE(opened->tensors->find(kLayer + ".weight")->dtype, std::string("FP8"));
    QVERIFY(opened->tensors->find(kLayer + ".input_scale") == nullptr);
}

void CompressedTensorsTest::findsChangedValues()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("FP8_STATIC"));
    const Written written(model.input());
    model.layers.layers.find(kLayer)->second.codes[3][5].bitwise_xor_(0x80);
    model.layers.layers.find("model.layers.0.mlp.up_proj")->second.input_max = at::full({1}, 2.0F);
    const auto findings = written.findings(model);
    QCOMPARE(findings.size(), std::size_t(2));
    QVERIFY(findings[0].find("model.layers.0.mlp.up_proj.input_scale") != std::string::npos);
    QVERIFY(findings[1].find(kLayer) != std::string::npos);
}

void CompressedTensorsTest::findsAnotherConfiguration()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G32"));
    const Written written(model.input());
    Json config = written.config();
    config["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"] = 8;
    written.folder.write("config.json", config.dump());
    const auto findings = written.findings(model);
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY(findings[0].find("weight_packed") != std::string::npos);
    plan_encoded(model, kLayer, parse_scheme("W8A16G32"));
    QVERIFY(!written.findings(model).empty());
}

void CompressedTensorsTest::wantsTheLargestActivation()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, kLayer, parse_scheme("NVFP4"));
    model.layers.layers.find(kLayer)->second.input_max = at::Tensor();
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({kLayer, "calibration"}), Written(model.input()));
}

BITSMITH_TEST(CompressedTensorsTest)
#include "compressed_tensors_test.moc"
