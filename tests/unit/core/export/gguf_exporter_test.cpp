// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/gguf_exporter.h"
#include "export/gguf/metadata.h"
#include "export/gguf/tensor_plan.h"
#include "source/gguf_config.h"
#include "source/gguf_tensors.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using tensor::GgufType;

class GgufExporterTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsBackAsTheSameModel_data();
    void readsBackAsTheSameModel();
    void namesTheFileAfterModelAndType();
    void keepsTablesAtEightBits();
    void writesPlainFilesInTheTypeAskedFor();
    void leavesATiedHeadOut();
    void refusesTensorsWithoutAPlace();
    void refusesArithmeticThatLlamaCppFixes();
    void refusesFamiliesWithoutAnArchitecture();
    void findsAFileThatWasChanged();
    void labelsSizesLikePeopleDo();
};

namespace {

Scheme gguf_scheme(const std::string& name)
{
    return parse_scheme("gguf:" + name);
}

Json config_of(const std::string& model_type)
{
    if (model_type == "gemma3_text") {
        return test::gemma3_config();
    }
    Json config = test::llama_config();
    config["model_type"] = model_type;
    const std::map<std::string, std::string> classes = {{"llama", "LlamaForCausalLM"},
        {"qwen2", "Qwen2ForCausalLM"}, {"qwen3", "Qwen3ForCausalLM"}};
    config["architectures"] = {classes.at(model_type)};
    if (model_type == "qwen3") {
        config["head_dim"] = 16;
    }
    return config;
}

struct Written
{
    explicit Written(const ExportInput& input)
        : file(folder / gguf_file_name(input))
    {
        NullObserver observer;
        EventEmitter events(observer);
        RunContext context{events, {}};
        GgufExporter().write(context, disk(), input, folder.path());
    }
    std::shared_ptr<const source::GgufParts> parts() const { return source::GgufParts::open(file); }
    TempFolder folder;
    std::filesystem::path file;
};

} // namespace

void GgufExporterTest::readsBackAsTheSameModel_data()
{
    QTest::addColumn<std::string>("model");
    QTest::addColumn<std::string>("type");
    for (const char* model : {"llama", "qwen2", "qwen3", "gemma3_text"}) {
        for (const char* type : {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0"}) {
            QTest::addRow("%s %s", model, type) << std::string(model) << std::string(type);
        }
    }
}

void GgufExporterTest::readsBackAsTheSameModel()
{
    QFETCH(std::string, model);
    QFETCH(std::string, type);
    test::ExportModel source(config_of(model));
    source.plan_all(gguf_scheme(type));
    const Written written(source.input());

    const auto parts = written.parts();
    const source::GgufFamily& family = source::gguf_family_for(parts->metadata());
    const source::GgufTensors tensors(parts, family);
    QCOMPARE(tensors.entries().size(), source.tensors->entries().size());
    for (const auto& [name, weight] : source.layers.layers) {
        QVERIFY2(
            at::equal(tensors.load(name + ".weight"), test::expected_values(weight)), name.c_str());
    }
    QVERIFY(at::allclose(tensors.load("model.norm.weight"),
        source.tensors->load("model.norm.weight").to(at::kFloat), 0, 1e-6));
    const Json config = source::build_gguf_config(*parts, family);
    for (const char* key : {"model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
             "num_attention_heads", "num_key_value_heads", "vocab_size", "rms_norm_eps",
             "rope_theta", "max_position_embeddings", "tie_word_embeddings"}) {
        QVERIFY2(config[key] == source.model.config[key], key);
    }
    const ExportInput input = source.input();
    QCOMPARE(GgufExporter().verify(written.folder.path(), &input), std::vector<std::string>());
    QCOMPARE(GgufExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

void GgufExporterTest::namesTheFileAfterModelAndType()
{
    test::ExportModel source(test::llama_config());
    source.model.path = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    source.plan_all(gguf_scheme("q4_0"));
    QCOMPARE(gguf_file_name(source.input()), std::string("SmolLM2-135M-Instruct-Q4_0.gguf"));
}

void GgufExporterTest::keepsTablesAtEightBits()
{
    test::ExportModel source(test::llama_config());
    source.plan_all(gguf_scheme("q4_0"));
    const GgufFilePlan plan = gguf_file_plan(source.input());
    QVERIFY(plan.base == GgufType::Q4_0);
    for (const GgufTensorPlan& tensor : plan.tensors) {
        const std::string& name = tensor.header.name;
        if (name == "token_embd.weight" || name == "output.weight") {
            QVERIFY(tensor.header.type == GgufType::Q8_0);
        } else if (name.ends_with("_norm.weight")) {
            QVERIFY(tensor.header.type == GgufType::F32);
        }
    }
    QCOMPARE(GgufExporter().notes(source.input()).size(), std::size_t(2));
}

void GgufExporterTest::writesPlainFilesInTheTypeAskedFor()
{
    test::ExportModel source(test::llama_config());
    QVERIFY(gguf_file_plan(source.input()).base == GgufType::BF16); // as stored
    source.plan_all(gguf_scheme("f16"));
    const GgufFilePlan plan = gguf_file_plan(source.input());
    QVERIFY(plan.base == GgufType::F16);
    QVERIFY(plan.tensors.front().header.type == GgufType::F16);
    const Written written(source.input());
    QCOMPARE(written.parts()->metadata().integer("general.file_type"), std::optional<int64_t>(1));
    QVERIFY(!written.parts()->metadata().integer("general.quantization_version"));
}

void GgufExporterTest::leavesATiedHeadOut()
{
    Json config = test::llama_config();
    config["tie_word_embeddings"] = true;
    test::ExportModel source(config);
    source.tensors->add("lm_head.weight", at::randn({264, 64}).to(at::kBFloat16));
    const GgufFilePlan plan = gguf_file_plan(source.input());
    QCOMPARE(plan.skipped, std::vector<std::string>{"lm_head.weight"});
    QCOMPARE(plan.tensors.size() + 1, source.tensors->entries().size());
}

void GgufExporterTest::refusesTensorsWithoutAPlace()
{
    test::ExportModel source(test::llama_config());
    source.tensors->add("model.layers.0.extra.weight", at::ones({4}));
    EXPECT_ERROR(
        UnsupportedModel, EXPECT_WORDS({"model.layers.0.extra"}), gguf_file_plan(source.input()));
}

void GgufExporterTest::refusesArithmeticThatLlamaCppFixes()
{
    Json config = test::gemma3_config();
    config["query_pre_attn_scalar"] = 77;
    test::ExportModel scaled(config);
    GgufFields fields;
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"attention scale"}),
        add_model_fields(fields, scaled.input(), gguf_file_plan(scaled.input())));
    config = test::gemma3_config();
    config["layer_types"] = {"sliding_attention", "full_attention"};
    test::ExportModel windows(config);
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"pattern of windows", "block 1"}),
        add_model_fields(fields, windows.input(), gguf_file_plan(windows.input())));
}

void GgufExporterTest::refusesFamiliesWithoutAnArchitecture()
{
    ModelInfo info;
    info.tokenizer = "BPE";
    info.model_type = "gpt_oss";
    QVERIFY(GgufExporter().model_refusal(info).find("gpt_oss") != std::string::npos);
    info.model_type = "mistral";
    QCOMPARE(GgufExporter().model_refusal(info), std::string());
    info.tokenizer = "WordPiece";
    QVERIFY(!GgufExporter().model_refusal(info).empty());
}

void GgufExporterTest::findsAFileThatWasChanged()
{
    test::ExportModel source(test::llama_config());
    source.plan_all(gguf_scheme("q4_0"));
    const Written written(source.input());
    source.layers.layers.find("model.layers.0.mlp.up_proj")->second.codes[0][0].bitwise_xor_(1);
    const ExportInput input = source.input();
    const auto findings = GgufExporter().verify(written.folder.path(), &input);
    QCOMPARE(findings.size(), std::size_t(2)); // its bytes, and its values
    QVERIFY(findings[0].find("blk.0.ffn_up") != std::string::npos);
}

void GgufExporterTest::labelsSizesLikePeopleDo()
{
    QCOMPARE(size_label(134515008), std::string("135M"));
    QCOMPARE(size_label(1235814400), std::string("1.2B"));
    QCOMPARE(size_label(7000000000), std::string("7B"));
    QCOMPARE(size_label(656000), std::string("656K"));
}

BITSMITH_TEST(GgufExporterTest)
#include "gguf_exporter_test.moc"
