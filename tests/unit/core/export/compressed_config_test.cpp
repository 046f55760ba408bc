// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "export/compressed_tensors.h"
#include "export/compressed_tensors_config.h"
#include "export/compressed_tensors_layout.h"
#include "source/compressed_tensors_source.h"
#include "support/encoded_plan.h"
#include "support/expect_error.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "support/written_export.h"

#include <QtTest>

#include <set>

using namespace bitsmith;
using namespace bitsmith::exporting;
using test::plan_encoded;

/// Descriptions of compressed-tensors folders: what is written, and what is not read.
class CompressedConfigTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void describesOneSchemeForAllLinears();
    void describesShortRowsAsChannels();
    void writesOnlyKeysThatReadersKnow_data();
    void writesOnlyKeysThatReadersKnow();
    void promisesNothingAboutMlx();
    void namesTypesAndShapes();
    void refusesColumnsThatAreNoGroups();
    void refusesSchemesItDoesNotHave();
    void readsTilesThatTheConfigurationNames();
    void refusesConfigurationsItCannotRead_data();
    void refusesConfigurationsItCannotRead();
    void refusesTensorsThatDoNotFit_data();
    void refusesTensorsThatDoNotFit();
    void refusesALayerWithoutItsShape();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj"; // 64 x 96

Json packed_config()
{
    const Json weights = {{"num_bits", 4}, {"type", "int"}, {"symmetric", true}};
    return {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"},
        {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}

/// A packed layer "p" of 4 bits, [8, 64], groups of 32.
std::map<std::string, at::Tensor> packed_layer()
{
    return {{"p.weight_packed", at::zeros({8, 8}, at::kInt)},
        {"p.weight_scale", at::ones({8, 2}, at::kHalf)},
        {"p.weight_shape", at::tensor({8, 64}, at::kLong)}};
}

std::shared_ptr<const tensor::TensorSource> opened(
    const Json& config, const std::map<std::string, at::Tensor>& tensors)
{
    auto stored = std::make_shared<test::MemoryTensors>();
    for (const auto& [name, values] : tensors) {
        stored->add(name, values);
    }
    return source::open_compressed_tensors(config, stored);
}

} // namespace

void CompressedConfigTest::describesOneSchemeForAllLinears()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("NVFP4"));
    model.model.info.layers.push_back(
        {"model.layers.0.mlp.gate", 0, 4, 64, "BF16", 512, false, {}});
    const Json config = compressed_tensors_config(model.input());
    QCOMPARE(config["quant_method"], Json("compressed-tensors"));
    QCOMPARE(config["format"], Json("nvfp4-pack-quantized"));
    QCOMPARE(config["ignore"], Json::array({"lm_head", "model.layers.0.mlp.gate"}));
    QCOMPARE(config["config_groups"].size(), std::size_t(1));
    const Json& group = config["config_groups"]["group_0"];
    QCOMPARE(group["targets"], Json::array({"Linear"}));
    QCOMPARE(group["weights"]["strategy"], Json("tensor_group"));
    QCOMPARE(group["weights"]["group_size"], Json(16));
    QCOMPARE(group["weights"]["scale_dtype"], Json("torch.float8_e4m3fn"));
    QCOMPARE(group["input_activations"]["dynamic"], Json("local"));
}

void CompressedConfigTest::writesOnlyKeysThatReadersKnow_data()
{
    QTest::addColumn<bool>("is_new");
    for (const char* scheme : {"W4A16G32", "W4A16G32_ASYM", "W8A16", "W8A8", "W4A8", "FP8_STATIC",
             "FP8_DYNAMIC", "FP8_BLOCK"}) {
        QTest::newRow(scheme) << false;
    }
    for (const char* scheme : {"MXFP4", "MXFP8", "NVFP4", "NVFP4A16"}) {
        QTest::newRow(scheme) << true;
    }
}

// formats.md 5.10: readers refuse keys inside groups that their version does not know; scale_dtype is
// the newest one.
void CompressedConfigTest::writesOnlyKeysThatReadersKnow()
{
    QFETCH(bool, is_new);
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme(QTest::currentDataTag()));
    const std::set<std::string> of_group = {
        "targets", "weights", "input_activations", "output_activations", "format"};
    std::set<std::string> of_args = {"num_bits", "type", "symmetric", "group_size", "strategy",
        "block_structure", "dynamic", "actorder", "observer", "observer_kwargs"};
    if (is_new) {
        of_args.insert("scale_dtype");
    }
    const Json config = compressed_tensors_config(model.input());
    const Json& group = config["config_groups"]["group_0"];
    for (const auto& entry : group.items()) {
        QVERIFY2(of_group.contains(entry.key()), entry.key().c_str());
    }
    for (const char* args : {"weights", "input_activations"}) {
        for (const auto& entry : group[args].items()) { // of null: none
            QVERIFY2(of_args.contains(entry.key()), entry.key().c_str());
        }
    }
    QCOMPARE(group["weights"].contains("scale_dtype"), is_new);
}

// formats.md 5.10: mlx-lm takes these folders for 4 bits in groups of 32, whatever they hold.
void CompressedConfigTest::promisesNothingAboutMlx()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W8A16G32"));
    const test::WrittenExport<CompressedTensorsExporter> written(model.input());
    const auto& formats = format_catalog();
    const auto info = std::find_if(formats.begin(), formats.end(),
        [](const FormatInfo& format) { return format.id == "llm_compressor"; });
    QVERIFY(info != formats.end());
    std::string texts = info->title + info->accepts + info->layout + info->serve;
    for (const std::string& runtime : info->runtimes) {
        texts += runtime;
    }
    const std::string card = read_text_file(written.folder / "README.md");
    QVERIFY(card.find("the package `compressed-tensors`") != std::string::npos);
    texts += card;
    QVERIFY2(lower(texts).find("mlx") == std::string::npos, texts.c_str());
}

void CompressedConfigTest::describesShortRowsAsChannels()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G64"));
    plan_encoded(model, kLayer, parse_scheme("W4A16"));
    plan_encoded(model, "model.layers.0.mlp.down_proj", parse_scheme("W4A16G32"));
    const Json config = compressed_tensors_config(model.input());
    QCOMPARE(config["format"], Json("pack-quantized"));
    const Json& weights = config["config_groups"]["group_2"]["weights"];
    QCOMPARE(weights["strategy"], Json("channel"));
    QCOMPARE(weights["group_size"], Json());
}

void CompressedConfigTest::refusesColumnsThatAreNoGroups()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, kLayer, parse_scheme("W4A16G64")); // 96 columns
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({kLayer, "96 columns", "multiples of 64"}),
        compressed_layout(model.input()));
}

void CompressedConfigTest::refusesSchemesItDoesNotHave()
{
    const CompressedTensorsExporter exporter;
    QCOMPARE(exporter.refusal(keep_scheme()), std::string());
    QCOMPARE(exporter.refusal(parse_scheme("W4A16")), std::string());
    QCOMPARE(exporter.refusal(parse_scheme("gguf:q4_0")), std::string());
    for (const char* name : {"W3A16", "W5A16", "W6A16", "W7A16", "W3A8", "MXFP4_RCEIL",
             "MXFP8_RCEIL", "MXFP6", "MXINT4", "NVFP4_E5M3", "gguf:q4_1", "gguf:q4_k"}) {
        QVERIFY2(!exporter.refusal(parse_scheme(name)).empty(), name);
    }
    QVERIFY(!exporter.refusal(scheme_of(4, kGroupPerTensor)).empty());
    Scheme both = parse_scheme("W4A8");
    both.act_data_type = DataType::Fp8;
    QVERIFY(exporter.refusal(both).find("per token") != std::string::npos);
}

// formats.md 5.10: weight_shape is I64 with two elements.
void CompressedConfigTest::namesTypesAndShapes()
{
    test::ExportModel model(test::llama_config());
    const auto check = [&](const char* scheme, std::vector<std::string> expected) {
        plan_encoded(model, kLayer, parse_scheme(scheme));
        std::vector<std::string> found;
        for (const tensor::TensorEntry& entry : entries_of(compressed_layout(model.input()))) {
            if (entry.name.starts_with(kLayer)) {
                std::string text = entry.name.substr(kLayer.size() + 1) + " " + entry.dtype;
                for (const int64_t size : entry.shape) {
                    text += " " + std::to_string(size);
                }
                found.push_back(text);
            }
        }
        QCOMPARE(found, expected);
    };
    check("W4A16G32_ASYM",
        {"weight_packed I32 64 12", "weight_scale F16 64 3", "weight_zero_point I32 8 3",
            "weight_shape I64 2"});
    check("W8A8", {"weight I8 64 96", "weight_scale F16 64 1"});
    check("FP8_STATIC", {"weight F8_E4M3 64 96", "weight_scale F32 64 1", "input_scale F32 1"});
    check("FPW8A16", {"weight F8_E4M3 64 96", "weight_scale F32 1"});
    check("FP8_BLOCK", {"weight F8_E4M3 64 96", "weight_scale F32 1 1"});
    check("MXFP4", {"weight_packed U8 64 48", "weight_scale U8 64 3"});
    check("MXFP8", {"weight F8_E4M3 64 96", "weight_scale U8 64 3"});
    check("NVFP4",
        {"weight_packed U8 64 48", "weight_scale F8_E4M3 64 6", "weight_global_scale F32 1",
            "input_global_scale F32 1"});
}

void CompressedConfigTest::readsTilesThatTheConfigurationNames()
{
    Json config = packed_config();
    config["format"] = "float-quantized";
    config["config_groups"]["group_0"]["weights"] = {
        {"num_bits", 8}, {"type", "float"}, {"strategy", "block"}, {"block_structure", {2, 3}}};
    const auto tensors = opened(config,
        {{"p.weight", at::ones({3, 4}).to(at::kFloat8_e4m3fn)},
            {"p.weight_scale", at::tensor({1.0F, 2.0F, 3.0F, 4.0F}).reshape({2, 2})}});
    const at::Tensor expected =
        at::tensor({1.0F, 1.0F, 1.0F, 2.0F, 1.0F, 1.0F, 1.0F, 2.0F, 3.0F, 3.0F, 3.0F, 4.0F})
            .reshape({3, 4});
    QVERIFY(at::equal(tensors->load("p.weight"), expected));
}

void CompressedConfigTest::refusesConfigurationsItCannotRead_data()
{
    QTest::addColumn<QString>("patch");
    QTest::addColumn<QString>("word");
    const auto row = [](const char* name, const char* patch, const char* word) {
        QTest::newRow(name) << QString(patch) << QString(word);
    };
    row("method", R"({"quant_method": "gptq"})", "gptq");
    row("format", R"({"format": "marlin-24"})", "marlin-24");
    row("rotation", R"({"transform_config": {"config_groups": {"u": {}}}})", "transform_config");
    row("sparse", R"({"sparsity_config": {"format": "sparse-bitmask"}})", "sparsity_config");
    row("no groups", R"({"config_groups": [1]})", "config_groups");
    row("bits", R"({"config_groups": {"g": {"weights": {"num_bits": 3}}}})", "num_bits");
    row("no bits", R"({"config_groups": {"g": {"weights": {}}}})", "an integer");
    row("tiles",
        R"({"config_groups": {"g": {"weights": {"num_bits": 8, "block_structure": [0, 1]}}}})",
        "block_structure");
}

void CompressedConfigTest::refusesConfigurationsItCannotRead()
{
    QFETCH(QString, patch);
    QFETCH(QString, word);
    Json config = packed_config();
    config.update(parse_json(patch.toStdString(), "patch"));
    try {
        opened(config, packed_layer());
        QFAIL("it was opened");
    } catch (const Error& error) {
        QVERIFY2(
            error.code() == ErrorCode::UnsupportedFormat || error.code() == ErrorCode::FileCorrupt,
            error.what());
        QVERIFY2(QString(error.what()).contains(word), error.what());
    }
}

void CompressedConfigTest::refusesTensorsThatDoNotFit_data()
{
    QTest::addColumn<std::string>("name");
    QTest::addColumn<at::Tensor>("values");
    const auto row = [](const char* title, const char* name, const at::Tensor& values) {
        QTest::newRow(title) << std::string(name) << values;
    };
    row("words of another width", "p.weight_packed", at::zeros({8, 9}, at::kInt));
    row("no matrix", "p.weight_packed", at::zeros({8}, at::kInt));
    row("other rows", "p.weight_packed", at::zeros({7, 8}, at::kInt));
    row("no shape", "p.weight_shape", at::tensor({8}, at::kLong));
    row("shape of three", "p.weight_shape", at::tensor({8, 64, 1}, at::kLong));
    row("shape of 32-bit numbers", "p.weight_shape", at::tensor({8, 64}, at::kInt));
    row("negative shape", "p.weight_shape", at::tensor({8, -64}, at::kLong));
    row("broken groups", "p.weight_scale", at::ones({8, 3}, at::kHalf));
    row("zero points", "p.weight_zero_point", at::zeros({2, 2}, at::kInt));
    row("stored twice", "p.weight", at::zeros({8, 64}));
}

void CompressedConfigTest::refusesTensorsThatDoNotFit()
{
    QFETCH(std::string, name);
    QFETCH(at::Tensor, values);
    auto tensors = packed_layer();
    tensors[name] = values;
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({name}), opened(packed_config(), tensors));
}

void CompressedConfigTest::refusesALayerWithoutItsShape()
{
    auto tensors = packed_layer();
    tensors.erase("p.weight_shape");
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"p.weight_shape"}), opened(packed_config(), tensors));
    tensors = packed_layer();
    tensors.emplace("p.weight_g_idx", at::zeros({64}, at::kInt));
    EXPECT_ERROR(
        UnsupportedFormat, EXPECT_WORDS({"p.weight_g_idx"}), opened(packed_config(), tensors));
}

BITSMITH_TEST(CompressedConfigTest)
#include "compressed_config_test.moc"
