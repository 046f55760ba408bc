// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_round.h"
#include "source/auto_round_source.h"
#include "support/encoded_plan.h"
#include "support/expect_error.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "support/written_export.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using test::plan_encoded;
using Written = test::WrittenExport<AutoRoundExporter>;

class AutoRoundTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesLayersThatDecodeToTheirValues_data();
    void writesLayersThatDecodeToTheirValues();
    void copiesOtherTensorsBitForBit();
    void writesTensorsOfAGgufInTheConfigsType();
    void namesExceptionsExactly();
    void namesTheBlocksOfTheCheckpoint_data();
    void namesTheBlocksOfTheCheckpoint();
    void saysWhichLayersVllmCannotRun();
    void choosesThePackingByTheZeroPoints();
    void storesZeroPointsAsThePackingSays();
    void interleavesFourBitsWithZeroPoints();
    void writesOtherNumbers_data();
    void writesOtherNumbers();
    void storesSmallNumbersAsCompressedTensorsDoes();
    void storesFixedPointNumbersBySignAndMagnitude();
    void storesScalesOfFp8AsReadersNameThem();
    void describesFp8AsVllmWantsIt();
    void refusesSeveralKindsOfNumbers();
    void unTiesAQuantizedHead();
    void keepsUnknownKeysOfTheConfig();
    void splitsIntoShards();
    void refusesLayersThatDoNotFillWords();
    void findsATensorThatWasChanged();
    void refusesSchemesItCannotPack();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj"; // 64 x 96

std::shared_ptr<const tensor::TensorSource> decoded(const Written& written)
{
    return source::open_auto_round(written.quantization(), written.stored());
}

quant::QuantizedWeight& weight_of(test::ExportModel& model, const std::string& layer = kLayer)
{
    return model.layers.layers.find(layer)->second;
}

/// Gives all modules but the head the names of a decoder under `prefix`.
void put_under(test::ExportModel& model, const std::string& prefix)
{
    const auto renamed = [&](const std::string& name) {
        return name.starts_with("model.") ? prefix + name.substr(6) : name;
    };
    for (const tensor::TensorEntry& entry : std::vector(model.tensors->entries())) {
        const at::Tensor values = model.tensors->load(entry.name);
        model.tensors->remove(entry.name);
        model.tensors->add(renamed(entry.name), values);
    }
    for (LayerInfo& layer : model.model.info.layers) {
        layer.name = renamed(layer.name);
    }
    for (PlannedLayer& layer : model.plan.layers) {
        layer.name = renamed(layer.name);
    }
    std::map<std::string, quant::QuantizedWeight, std::less<>> layers;
    for (const auto& [name, weight] : model.layers.layers) {
        layers.emplace(renamed(name), weight);
    }
    model.layers.layers = std::move(layers);
    model::ModelNames& names = model.model.spec.model_names;
    names.block = renamed(names.block);
    names.embedding = renamed(names.embedding);
}

} // namespace

void AutoRoundTest::writesLayersThatDecodeToTheirValues_data()
{
    QTest::addColumn<Scheme>("scheme");
    for (const int bits : {2, 3, 4, 8}) {
        for (const int group : {32, -1}) {
            QTest::addRow("%d bits, group %d, sym", bits, group) << scheme_of(bits, group);
            QTest::addRow("%d bits, group %d, asym", bits, group) << scheme_of(bits, group, false);
        }
    }
}

void AutoRoundTest::writesLayersThatDecodeToTheirValues()
{
    QFETCH(Scheme, scheme);
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme);
    const Written written(model.input());
    const auto weights = decoded(written);
    QCOMPARE(weights->entries().size(), model.tensors->entries().size());
    for (const auto& [name, weight] : model.layers.layers) {
        QVERIFY2(at::equal(weights->load(name + ".weight"), test::expected_values(weight)),
            name.c_str());
    }
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void AutoRoundTest::copiesOtherTensorsBitForBit()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    for (const char* name : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight",
             "model.layers.1.input_layernorm.weight"}) {
        const at::Tensor copy = written.stored()->load(name);
        QCOMPARE(copy.scalar_type(), at::kBFloat16);
        QVERIFY2(at::equal(copy, model.tensors->load(name)), name);
    }
}

void AutoRoundTest::writesTensorsOfAGgufInTheConfigsType()
{
    Json config = test::llama_config();
    config["torch_dtype"] = "float16";
    test::ExportModel model(config, at::kFloat);
    model.model.kind = "gguf";
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    const at::Tensor copy = written.stored()->load("model.norm.weight");
    QCOMPARE(copy.scalar_type(), at::kHalf);
    QVERIFY(at::equal(copy, model.tensors->load("model.norm.weight").to(at::kHalf)));
    QVERIFY(AutoRoundExporter().notes(model.input()).front().find("GGUF") != std::string::npos);
}

void AutoRoundTest::namesExceptionsExactly()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan_layer("model.layers.0.mlp.down_proj", scheme_of(8, 32));
    model.plan_layer("model.layers.1.self_attn.o_proj", keep_scheme());
    model.plan_layer("lm_head", scheme_of(8, 64));
    model.model.info.layers.push_back(
        {"model.layers.0.mlp.gate", 0, 4, 64, "BF16", 512, false, {}});
    const Written written(model.input());
    const Json quantization = written.quantization();
    QCOMPARE(quantization["block_name_to_quantize"], Json("model.layers"));
    QCOMPARE(quantization["bits"], Json(4));
    const Json& extra = quantization["extra_config"];
    QCOMPARE(extra.size(), std::size_t(4));
    QCOMPARE(extra["model.layers.0.mlp.down_proj"], Json({{"bits", 8}}));
    QCOMPARE(
        extra["model.layers.1.self_attn.o_proj"], Json({{"bits", 16}, {"data_type", "float"}}));
    QCOMPARE(extra["model.layers.0.mlp.gate"], Json({{"bits", 16}, {"data_type", "float"}}));
    QCOMPARE(extra["lm_head"]["group_size"], Json(64));
    QCOMPARE(extra["lm_head"]["act_bits"], Json(16));
    QVERIFY(at::equal(decoded(written)->load("lm_head.weight"),
        test::expected_values(model.layers.load("lm_head"))));
}

void AutoRoundTest::namesTheBlocksOfTheCheckpoint_data()
{
    QTest::addColumn<std::string>("prefix");
    QTest::newRow("text only") << std::string("model.");
    QTest::newRow("beside a tower") << std::string("model.language_model.");
}

// formats.md 2.11: with another prefix than that of the tensors, or with a quantized tower that is
// not named, readers leave everything unquantized and compute with random weights.
void AutoRoundTest::namesTheBlocksOfTheCheckpoint()
{
    QFETCH(std::string, prefix);
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    put_under(model, prefix);
    model.tensors->add("model.visual.fc.weight", at::ones({64, 64}).to(at::kBFloat16));
    const Written written(model.input());
    QCOMPARE(written.quantization()["block_name_to_quantize"], Json(prefix + "layers"));
    int packed = 0;
    const auto stored = written.stored();
    for (const tensor::TensorEntry& entry : stored->entries()) {
        const bool is_in_block = entry.name.starts_with(prefix + "layers.");
        QVERIFY2(is_in_block || entry.dtype == "BF16", entry.name.c_str());
        packed += entry.name.ends_with(".qweight") ? 1 : 0;
    }
    QCOMPARE(packed, 14);
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
    QCOMPARE(
        AutoRoundExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

// formats.md 2.11: Marlin, vLLM's kernel, takes some sides, groups and widths only.
void AutoRoundTest::saysWhichLayersVllmCannotRun()
{
    test::ExportModel model(test::llama_config());
    const auto note = [&](const Scheme& scheme, int64_t rows, int64_t columns) {
        for (PlannedLayer& layer : model.plan.layers) {
            layer.scheme = layer.name == kLayer ? scheme : keep_scheme();
            layer.rows = rows;
            layer.columns = columns;
        }
        const auto notes = AutoRoundExporter().notes(model.input());
        return notes.empty() ? std::string() : notes.front();
    };
    for (const int group : {32, 64, 128, -1}) {
        QCOMPARE(note(scheme_of(4, group), 192, 256), std::string());
        QCOMPARE(note(scheme_of(8, group), 192, 256), std::string());
    }
    QVERIFY(note(scheme_of(4, 128), 96, 256).find("not take: 1, ") != std::string::npos);
    QVERIFY(note(scheme_of(4, 128), 96, 256).find(kLayer) != std::string::npos);
    QVERIFY(note(scheme_of(4, 64), 192, 192).find("multiples of 64") != std::string::npos);
    QVERIFY(note(scheme_of(4, 256), 192, 256).find("vLLM") != std::string::npos);
}

// formats.md 3.4: a zero point of 0 stored less one borrows from its neighbours, so that layout gets
// symmetric layers only.
void AutoRoundTest::choosesThePackingByTheZeroPoints()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    QCOMPARE(auto_round_config(model.input())["packing_format"], Json("auto_round:auto_gptq"));
    const auto packing_with = [&](const Scheme& scheme) {
        model.plan_layer(kLayer, scheme);
        return auto_round_config(model.input())["packing_format"].get<std::string>();
    };
    QCOMPARE(packing_with(scheme_of(4, 32, false)), std::string("auto_round:auto_awq"));
    QCOMPARE(packing_with(scheme_of(4, 16, false)), std::string("auto_round:auto_awq"));
    QCOMPARE(packing_with(scheme_of(8, 32, false)), std::string("auto_round"));
    QCOMPARE(packing_with(scheme_of(4, -1, false)), std::string("auto_round"));
    QCOMPARE(packing_with(scheme_of(4, 64, false)), std::string("auto_round")); // 96 columns
}

void AutoRoundTest::storesZeroPointsAsThePackingSays()
{
    const std::string zeros = "model.layers.0.mlp.up_proj.qzeros";
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    QVERIFY(Written(model.input()).load(zeros).eq(0x77777777).all().item<bool>());
    model.plan_layer(kLayer, scheme_of(8, 32, false));
    QVERIFY(Written(model.input()).load(zeros).eq(-2004318072).all().item<bool>()); // 0x88888888
}

void AutoRoundTest::interleavesFourBitsWithZeroPoints()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32, false));
    const Written written(model.input());
    QVERIFY(
        at::equal(tensor::unpack_awq(written.load(kLayer + ".qweight")), weight_of(model).codes));
    QVERIFY(
        at::equal(tensor::unpack_awq(written.load(kLayer + ".qzeros")), weight_of(model).zeros));
    QCOMPARE(written.config()["torch_dtype"], Json("float16"));
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void AutoRoundTest::writesOtherNumbers_data()
{
    QTest::addColumn<QString>("packing");
    QTest::addColumn<QString>("type");
    QTest::addColumn<QString>("actType");
    const auto add = [](const char* scheme, const char* packing, const char* type,
                         const char* act_type) {
        QTest::newRow(scheme) << QString(packing) << QString(type) << QString(act_type);
    };
    add("MXFP4", "auto_round:llm_compressor", "mx_fp", "mx_fp");
    add("MXFP8", "auto_round:llm_compressor", "mx_fp", "mx_fp");
    add("MXFP8_RCEIL", "auto_round:llm_compressor", "mx_fp", "mx_fp_rceil");
    add("NVFP4", "auto_round:llm_compressor", "nv_fp", "nv_fp4_with_static_gs");
    add("NVFP4_E5M3", "auto_round:llm_compressor_nvfp4_e5m3", "nvfp4_v2", "nvfp4_v2");
    add("MXINT4", "auto_round", "mx_int", "mx_int");
    add("FP8_STATIC", "auto_round:fp8_static", "fp", "fp");
    add("FP8_BLOCK", "auto_round:fp8", "fp", "fp");
}

void AutoRoundTest::writesOtherNumbers()
{
    QFETCH(QString, packing);
    QFETCH(QString, type);
    QFETCH(QString, actType);
    const Scheme scheme = parse_scheme(QTest::currentDataTag());
    QCOMPARE(AutoRoundExporter().refusal(scheme), std::string());
    test::ExportModel model(test::llama_config());
    plan_encoded(model, scheme);
    const Written written(model.input());
    const Json config = written.quantization();
    QCOMPARE(config.value("packing_format", ""), packing.toStdString());
    QCOMPARE(config["data_type"], Json(type.toStdString()));
    QCOMPARE(config.value("act_data_type", ""), actType.toStdString());
    QCOMPARE(config["bits"], Json(scheme.bits));
    QVERIFY(!config.contains("extra_config"));
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void AutoRoundTest::storesSmallNumbersAsCompressedTensorsDoes()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("NVFP4"));
    plan_encoded(model, kLayer, parse_scheme("MXFP4"));
    weight_of(model).codes[5].narrow(0, 2, 2).copy_(at::tensor({1, 15}));
    const Written written(model.input());
    const auto stored = written.stored();
    QCOMPARE(stored->find(kLayer + ".weight_packed")->shape, (std::vector<int64_t>{64, 48}));
    QCOMPARE(stored->load(kLayer + ".weight_packed")[5][1].item<int>(), 0xF1); // 0.5, -6
    QCOMPARE(stored->find(kLayer + ".weight_scale")->dtype, std::string("U8"));
    const std::string other = "model.layers.0.mlp.up_proj";
    QCOMPARE(stored->find(other + ".weight_scale")->dtype, std::string("F8_E4M3"));
    QCOMPARE(stored->load(other + ".input_global_scale").item<float>(), 2688.0F / 3.5F);
    const Json rule = written.quantization()["extra_config"][kLayer];
    QCOMPARE(rule["data_type"], Json("mx_fp"));
    QCOMPARE(rule["group_size"], Json(32));
    QVERIFY(!rule.contains("bits"));
}

void AutoRoundTest::storesFixedPointNumbersBySignAndMagnitude()
{
    const Scheme scheme = parse_scheme("MXINT4");
    test::ExportModel model(test::llama_config());
    plan_encoded(model, scheme);
    at::Tensor values = at::zeros({64, 96});
    values[0][0] = 1.75F;
    values[0][1] = -0.5F;
    weight_of(model) = quant::codec_for(scheme).encode(values, scheme, {});
    const Written written(model.input());
    QCOMPARE(written.load(kLayer + ".weight_packed")[0][0].item<int>(), 0xA7); // 7 and -2 quarters
    QCOMPARE(written.load(kLayer + ".weight_scale")[0][0].item<int>(), 127);
}

void AutoRoundTest::storesScalesOfFp8AsReadersNameThem()
{
    const auto shape_of = [](const char* scheme, const char* ending) {
        test::ExportModel model(test::llama_config());
        plan_encoded(model, parse_scheme(scheme));
        const auto stored = Written(model.input()).stored();
        const tensor::TensorEntry* entry = stored->find(kLayer + ending);
        return entry == nullptr ? std::vector<int64_t>() : entry->shape;
    };
    QCOMPARE(shape_of("FP8_STATIC", ".weight_scale"), std::vector<int64_t>{64});
    QCOMPARE(shape_of("FP8_STATIC", ".input_scale"), std::vector<int64_t>{1});
    QCOMPARE(shape_of("FP8_BLOCK", ".weight_scale_inv"), (std::vector<int64_t>{1, 1}));
    QCOMPARE(shape_of("FP8_BLOCK", ".weight_scale"), std::vector<int64_t>());
}

void AutoRoundTest::describesFp8AsVllmWantsIt()
{
    Json llama = test::llama_config();
    llama["torch_dtype"] = "float16";
    test::ExportModel model(llama);
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    model.plan_layer(kLayer, keep_scheme());
    const Json config = auto_round_config(model.input());
    const Json tile = {128, 128};
    QCOMPARE(config["group_size"], tile);
    QCOMPARE(config["weight_block_size"], tile);
    QCOMPARE(config["act_group_size"], Json(128));
    QCOMPARE(config["fmt"], Json("e4m3"));
    QCOMPARE(config["activation_scheme"], Json("dynamic"));
    QCOMPARE(config["enable_quanted_input"], Json(false));
    QCOMPARE(config["ignored_layers"], Json::array({kLayer, "lm_head"}));
    QCOMPARE(config["extra_config"][kLayer],
        Json({{"bits", 16}, {"data_type", "float"}, {"act_bits", 16}}));
    plan_encoded(model, parse_scheme("FP8_STATIC"));
    const Written written(model.input());
    QCOMPARE(written.quantization()["activation_scheme"], Json("static"));
    QCOMPARE(written.quantization()["act_dynamic"], Json(false));
    QCOMPARE(written.quantization()["act_group_size"], Json(0));
    QCOMPARE(written.config()["torch_dtype"], Json("bfloat16"));
}

void AutoRoundTest::refusesSeveralKindsOfNumbers()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G32"));
    plan_encoded(model, kLayer, parse_scheme("MXFP4"));
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({"one kind", "W4A16G32", kLayer, "MXFP4"}),
        AutoRoundExporter().estimate_bytes(model.input()));
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({kLayer}), Written(model.input()));
}

void AutoRoundTest::unTiesAQuantizedHead()
{
    Json config = test::llama_config();
    config["tie_word_embeddings"] = true;
    test::ExportModel model(config);
    model.plan_all(scheme_of(4, 32));
    model.plan.layers.push_back({"lm_head", -1, 256, 64, scheme_of(8, 32), "asked for"});
    model.layers.layers.emplace("lm_head", test::random_weight(scheme_of(8, 32), 256, 64));
    const Written written(model.input());
    QCOMPARE(written.config()["tie_word_embeddings"], Json(false));
    QVERIFY(written.stored()->find("lm_head.qweight") != nullptr);
    QVERIFY(written.stored()->find("model.embed_tokens.weight") != nullptr);
}

void AutoRoundTest::keepsUnknownKeysOfTheConfig()
{
    Json config = test::llama_config();
    config["dtype"] = "bfloat16";
    config.erase("torch_dtype");
    test::ExportModel model(config);
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    QCOMPARE(written.config()["some_unknown_key"], Json("kept"));
    QCOMPARE(written.config()["torch_dtype"], Json("bfloat16"));
    QCOMPARE(read_text_file(written.folder / "tokenizer.json"), test::byte_tokenizer_json());
    QVERIFY(read_text_file(written.folder / "README.md").find("W4A16G32") != std::string::npos);
}

void AutoRoundTest::splitsIntoShards()
{
    test::ExportModel model(test::llama_config());
    model.spec.exports.max_shard_gb = 4e-5; // 40 kB
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    QVERIFY(std::filesystem::exists(written.folder / "model.safetensors.index.json"));
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void AutoRoundTest::refusesLayersThatDoNotFillWords()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan.layers[0].rows = 40;
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"q_proj", "[40, 64]"}),
        AutoRoundExporter().estimate_bytes(model.input()));
}

void AutoRoundTest::findsATensorThatWasChanged()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    weight_of(model, "model.layers.1.mlp.up_proj").codes[3][5].bitwise_xor_(1);
    const auto findings = written.findings(model.input());
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY(findings[0].find("model.layers.1.mlp.up_proj") != std::string::npos);
}

void AutoRoundTest::refusesSchemesItCannotPack()
{
    const AutoRoundExporter exporter;
    QCOMPARE(exporter.refusal(scheme_of(4, 128)), std::string());
    QCOMPARE(exporter.refusal(keep_scheme()), std::string());
    QVERIFY(!exporter.refusal(scheme_of(5, 128)).empty());
    QVERIFY(!exporter.refusal(scheme_of(4, kGroupPerTensor)).empty());
    Scheme with_minimum = scheme_of(4, 32, false);
    with_minimum.data_type = DataType::IntFloatZero;
    QVERIFY(!exporter.refusal(with_minimum).empty());
    // auto-round has no kernels for these; llm_compressor is read by others.
    for (const char* scheme : {"MXFP4A16", "NVFP4A16", "MXFP6", "FP8_DYNAMIC", "W8A8", "FPW8A16"}) {
        QVERIFY2(!exporter.refusal(parse_scheme(scheme)).empty(), scheme);
    }
    Scheme tiles = parse_scheme("FP8_BLOCK");
    tiles.group_size = tiles.act_group_size = 64;
    QVERIFY(!exporter.refusal(tiles).empty());
}

BITSMITH_TEST(AutoRoundTest)
#include "auto_round_test.moc"
