// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/auto_round.h"
#include "export/auto_round_layout.h"
#include "source/auto_round_source.h"
#include "source/hf_weights.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/scheme_of.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;

class AutoRoundTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesLayersThatDecodeToTheirValues_data();
    void writesLayersThatDecodeToTheirValues();
    void copiesOtherTensorsBitForBit();
    void writesTensorsOfAGgufInTheConfigsType();
    void namesExceptionsExactly();
    void choosesThePackingByTheZeroPoints();
    void unTiesAQuantizedHead();
    void keepsUnknownKeysOfTheConfig();
    void splitsIntoShards();
    void refusesLayersThatDoNotFillWords();
    void findsATensorThatWasChanged();
    void refusesSchemesItCannotPack();
};

namespace {

struct Written
{
    explicit Written(const ExportInput& input)
    {
        NullObserver observer;
        EventEmitter events(observer);
        RunContext context{events, {}};
        AutoRoundExporter().write(context, disk(), input, folder.path());
    }
    Json config() const { return read_json_file(folder / "config.json"); }
    Json quantization() const { return config()["quantization_config"]; }
    std::shared_ptr<const tensor::TensorSource> stored() const
    {
        return source::open_hf_weights(folder.path()).tensors;
    }
    std::shared_ptr<const tensor::TensorSource> decoded() const
    {
        return source::open_auto_round(quantization(), stored());
    }
    TempFolder folder;
};

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
    const auto decoded = written.decoded();
    QCOMPARE(decoded->entries().size(), model.tensors->entries().size());
    for (const auto& [name, weight] : model.layers.layers) {
        QVERIFY2(at::equal(decoded->load(name + ".weight"), test::expected_values(weight)),
            name.c_str());
    }
    const ExportInput input = model.input();
    QCOMPARE(AutoRoundExporter().verify(written.folder.path(), &input), std::vector<std::string>());
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
    QCOMPARE(AutoRoundExporter().notes(model.input()).size(), std::size_t(1));
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
    QVERIFY(at::equal(written.decoded()->load("lm_head.weight"),
        test::expected_values(model.layers.load("lm_head"))));
}

void AutoRoundTest::choosesThePackingByTheZeroPoints()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    QCOMPARE(auto_round_config(model.input())["packing_format"], Json("auto_round:auto_gptq"));
    model.plan_layer("model.layers.0.mlp.up_proj", scheme_of(4, 32, false));
    QCOMPARE(auto_round_config(model.input())["packing_format"], Json("auto_round"));
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
    const ExportInput input = model.input();
    QCOMPARE(AutoRoundExporter().verify(written.folder.path(), &input), std::vector<std::string>());
}

void AutoRoundTest::refusesLayersThatDoNotFillWords()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan.layers[0].rows = 40;
    EXPECT_ERROR(
        ShapeMismatch, EXPECT_WORDS({"q_proj", "[40, 64]"}), auto_round_layout(model.input()));
}

void AutoRoundTest::findsATensorThatWasChanged()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    model.layers.layers.find("model.layers.1.mlp.up_proj")->second.codes[3][5].bitwise_xor_(1);
    const ExportInput input = model.input();
    const auto findings = AutoRoundExporter().verify(written.folder.path(), &input);
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
}

BITSMITH_TEST(AutoRoundTest)
#include "auto_round_test.moc"
