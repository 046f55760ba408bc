// SPDX-License-Identifier: GPL-3.0-or-later
#include "arch/registry.h"
#include "export/gguf/blocks.h"
#include "export/gguf/gguf_exporter.h"
#include "export/gguf/graph.h"
#include "export/gguf/metadata.h"
#include "export/gguf/tensor_plan.h"
#include "export/gguf/transforms.h"
#include "export/model_card.h"
#include "source/gguf_config.h"
#include "source/gguf_places.h"
#include "source/gguf_tensors.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

#include <cstring>

using namespace bitsmith;
using namespace bitsmith::exporting;
using tensor::GgufFields;
using tensor::GgufType;

class GgufExporterTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsBackAsTheSameModel_data();
    void readsBackAsTheSameModel();
    void namesTheFileAfterModelAndType();
    void givesTablesTheTypesOfLlamaCpp_data();
    void givesTablesTheTypesOfLlamaCpp();
    void writesTablesAsTheyRound();
    void keepsTablesThatTheUserKeeps();
    void splitsWhatIsTooLarge();
    void tellsPartsFromOtherFiles();
    void writesVectorsInFullPrecision();
    void writesHeadSizesAndTheRotaryBase();
    void findsATensorThatIsMissing();
    void writesPlainFilesInTheTypeAskedFor();
    void leavesATiedHeadOut();
    void refusesTensorsWithoutAPlace();
    void refusesBiasesWithoutAPlace();
    void refusesPredictionLayers();
    void permutesRotaryRowsOnce();
    void refusesArithmeticThatLlamaCppFixes_data();
    void refusesArithmeticThatLlamaCppFixes();
    void knowsEveryFamily();
    void refusesFamiliesWithoutAnArchitecture();
    void writesExperts_data();
    void writesExperts();
    void writesExpertsThatAreNotQuantized_data();
    void writesExpertsThatAreNotQuantized();
    void refusesExpertsOfSeveralSchemes();
    void writesYarnsOwnFactor();
    void saysWhatLlamaCppComputesOtherwise();
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
    if (model_type.starts_with("gemma")) {
        return model_type == "gemma" ? test::gemma_config() : test::gemma3_config();
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

Json with_tied_head(bool tied)
{
    Json config = test::llama_config();
    config["tie_word_embeddings"] = tied;
    return config;
}

/// Random tables of another width, which a plan does not ask about.
void replace_tables(test::ExportModel& source, int64_t columns)
{
    for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
        if (source.tensors->find(name) != nullptr) {
            source.tensors->remove(name);
            source.tensors->add(name, at::randn({288, columns}).to(at::kBFloat16));
        }
    }
}

GgufType type_of(const GgufFilePlan& plan, const std::string& tensor)
{
    for (const GgufTensorPlan& planned : plan.tensors) {
        if (planned.header.name == tensor) {
            return planned.header.type;
        }
    }
    return GgufType::I8; // of no tensor
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
    for (const char* model : {"llama", "qwen2", "qwen3", "gemma", "gemma3_text"}) {
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
    // A download lies in a folder that is named after its commit.
    const TempFolder cache;
    cache.write("models--org--name/blobs/1234", "");
    cache.write("models--org--name/snapshots/abc/config.json", "{}");
    source.model.path = (cache / "models--org--name/snapshots/abc").string();
    QCOMPARE(gguf_file_name(source.input()), std::string("name-Q4_0.gguf"));
    const ExportDetails details = stated_details(source.model, {});
    QCOMPARE(details.model_name, std::string("name"));
    QCOMPARE(details.source, std::string("org/name"));
}

void GgufExporterTest::givesTablesTheTypesOfLlamaCpp_data()
{
    QTest::addColumn<int>("hidden");
    QTest::addColumn<bool>("tied");
    QTest::addColumn<GgufType>("embedding");
    QTest::addColumn<GgufType>("head");
    QTest::newRow("whole super-blocks") << 256 << false << GgufType::Q4_0 << GgufType::Q6_K;
    QTest::newRow("other widths") << 64 << false << GgufType::Q4_0 << GgufType::Q8_0;
    QTest::newRow("tied") << 256 << true << GgufType::Q6_K << GgufType::Q6_K;
    QTest::newRow("tied, other widths") << 64 << true << GgufType::Q8_0 << GgufType::Q8_0;
}

// formats.md 6.8.
void GgufExporterTest::givesTablesTheTypesOfLlamaCpp()
{
    QFETCH(int, hidden);
    QFETCH(bool, tied);
    QFETCH(GgufType, embedding);
    QFETCH(GgufType, head);
    test::ExportModel source(with_tied_head(tied));
    source.plan_all(gguf_scheme("q4_0"));
    replace_tables(source, hidden);
    const GgufFilePlan plan = gguf_file_plan(source.input());
    QVERIFY(plan.base == GgufType::Q4_0);
    QVERIFY(type_of(plan, "token_embd.weight") == embedding);
    if (!tied) {
        QVERIFY(type_of(plan, "output.weight") == head);
    }
    // They are in the types that users of such files expect: nothing to be told about.
    QCOMPARE(GgufExporter().notes(source.input()), std::vector<std::string>());
}

void GgufExporterTest::writesTablesAsTheyRound()
{
    test::ExportModel source(test::llama_config());
    source.plan_all(gguf_scheme("q4_0"));
    replace_tables(source, 256);
    const GgufFilePlan plan = gguf_file_plan(source.input());
    const auto bytes = [&] {
        for (const GgufTensorPlan& tensor : plan.tensors) {
            if (tensor.header.name == "output.weight") {
                return gguf_tensor_bytes(source.input(), tensor);
            }
        }
        return at::Tensor();
    };
    const at::Tensor values = source.tensors->load("lm_head.weight");
    QVERIFY(at::equal(bytes(), round_to_gguf(values, GgufType::Q6_K, true)));
    source.spec.recipe.start = Start::MinMax;
    QVERIFY(at::equal(bytes(), round_to_gguf(values, GgufType::Q6_K, false)));
}

void GgufExporterTest::keepsTablesThatTheUserKeeps()
{
    test::ExportModel source(test::llama_config());
    source.plan_all(gguf_scheme("q4_0"));
    source.spec.scheme.keep = {"lm_head"};
    const GgufFilePlan plan = gguf_file_plan(source.input());
    QVERIFY(type_of(plan, "output.weight") == GgufType::BF16);
    QVERIFY(type_of(plan, "token_embd.weight") == GgufType::Q4_0);
}

// formats.md 6.12: vLLM and SGLang ask for a single file.
void GgufExporterTest::splitsWhatIsTooLarge()
{
    test::ExportModel source(test::llama_config());
    source.plan_all(gguf_scheme("q8_0"));
    source.spec.exports.max_gguf_gb = 45e-6;
    const ExportInput input = source.input();
    const Written written(input);
    QCOMPARE(written.file.filename().string(), std::string("tiny-Q8_0-00001-of-00003.gguf"));
    QVERIFY(GgufExporter().recognizes(written.folder.path()));
    QCOMPARE(gguf_file_in(written.folder.path()), written.file);
    QCOMPARE(written.parts()->readers().size(), std::size_t(3));
    QCOMPARE(written.parts()->tensors().size(), gguf_file_plan(input).tensors.size());
    QCOMPARE(GgufExporter().verify(written.folder.path(), &input), std::vector<std::string>());
    QCOMPARE(GgufExporter().notes(input).size(), std::size_t(1));
    QVERIFY(GgufExporter().notes(input).front().find("3 files") != std::string::npos);

    std::filesystem::remove(written.folder / "tiny-Q8_0-00002-of-00003.gguf");
    const auto findings = GgufExporter().verify(written.folder.path(), &input);
    QCOMPARE(findings.size(), std::size_t(1));
    QVERIFY(findings.front().find("tiny-Q8_0-00002-of-00003.gguf") != std::string::npos);
}

void GgufExporterTest::tellsPartsFromOtherFiles()
{
    const TempFolder folder;
    folder.write("a-00001-of-00002.gguf", "");
    folder.write("a-00002-of-00002.gguf", "");
    QCOMPARE(gguf_file_in(folder.path()), folder / "a-00001-of-00002.gguf");
    folder.write("b.gguf", "");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"3"}), gguf_file_in(folder.path()));
    std::filesystem::remove(folder / "b.gguf");
    folder.write("b-00002-of-00002.gguf", "");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"3"}), gguf_file_in(folder.path()));
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

// formats.md 6.12: llama.cpp refuses files with tensors that its graph does not consume.
void GgufExporterTest::refusesTensorsWithoutAPlace()
{
    test::ExportModel source(test::llama_config());
    source.tensors->add("model.layers.0.extra.weight", at::ones({4}));
    EXPECT_ERROR(
        UnsupportedModel, EXPECT_WORDS({"model.layers.0.extra"}), gguf_file_plan(source.input()));
}

// The module has a place, and no graph adds a bias there.
void GgufExporterTest::refusesBiasesWithoutAPlace()
{
    for (const char* name : {"model.layers.0.input_layernorm.bias", "model.norm.bias",
             "model.layers.1.self_attn.o_proj.bias"}) {
        test::ExportModel source(test::llama_config());
        source.tensors->add(name, at::ones({64}));
        EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({name}), gguf_file_plan(source.input()));
    }
}

// formats.md 6.12: tensors of prediction layers (MTP) look like a block more than the graph has.
void GgufExporterTest::refusesPredictionLayers()
{
    test::ExportModel source(test::llama_config());
    source.tensors->add("model.layers.2.input_layernorm.weight", at::ones({64}));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"model.layers.2.input_layernorm"}),
        gguf_file_plan(source.input()));
}

// formats.md 6.12: rotary rows in the wrong order give fluent nonsense. A GGUF is written again from
// the order of its original.
void GgufExporterTest::permutesRotaryRowsOnce()
{
    test::ExportModel source(test::llama_config());
    const std::string name = "model.layers.1.self_attn.q_proj.weight";
    const auto rows_of = [&](const Written& written) {
        const auto parts = written.parts();
        const source::GgufLocation& found = parts->tensors().find("blk.1.attn_q.weight")->second;
        const std::vector<std::byte> bytes = found.part->data(*found.tensor);
        at::Tensor rows = at::empty({64, 64}, at::kBFloat16);
        std::memcpy(rows.mutable_data_ptr(), bytes.data(), rows.nbytes());
        return rows;
    };
    const Written first(source.input());
    const at::Tensor permuted = source.tensors->load(name).index_select(0, rotary_row_order(64, 4));
    QVERIFY(at::equal(rows_of(first), permuted));
    const auto reopened = source::open_model(first.file.string());
    QVERIFY(at::equal(reopened->tensors->load(name), source.tensors->load(name)));
    const Written second({*reopened, source.plan, source.layers, source.spec});
    QVERIFY(at::equal(rows_of(second), permuted));
}

void GgufExporterTest::refusesArithmeticThatLlamaCppFixes_data()
{
    QTest::addColumn<std::string>("config");
    QTest::addColumn<std::string>("words");
    const auto row = [](const char* name, Json config, const Json& change, const char* words) {
        config.update(change);
        QTest::newRow(name) << config.dump() << std::string(words);
    };
    row("attention scale", test::gemma3_config(), {{"query_pre_attn_scalar", 77}},
        "attention scale");
    row("windows", test::gemma3_config(),
        {{"layer_types", {"sliding_attention", "full_attention"}}}, "pattern of windows");
    row("windows of gpt-oss", test::experts_config("gpt_oss"), {{"sliding_window", nullptr}},
        "pattern of windows");
    row("activation", test::llama_config(), {{"hidden_act", "gelu"}}, "activation");
    row("biases", config_of("qwen3"), {{"attention_bias", true}}, "biases in the attention");
    row("no biases", test::experts_config("gpt_oss"), {{"attention_bias", false}},
        "no biases in the attention");
    const Json llama3 = {
        {"rope_type", "llama3"}, {"factor", 8.0}, {"original_max_position_embeddings", 64}};
    row("factors by tensor", config_of("qwen2"), {{"rope_scaling", llama3}}, "rotary scaling");
    row("head", test::gemma_config(), {{"tie_word_embeddings", false}}, "head of its own");
    row("blocks without experts", test::experts_config("qwen3_moe"), {{"mlp_only_layers", {1}}},
        "block 1");
    row("weights of experts", test::experts_config("qwen3_moe"), {{"norm_topk_prob", false}},
        "norm_topk_prob");
}

void GgufExporterTest::refusesArithmeticThatLlamaCppFixes()
{
    QFETCH(std::string, config);
    QFETCH(std::string, words);
    const test::ExportModel source(parse_json(config, "test"));
    EXPECT_ERROR(UnsupportedModel, {words}, gguf_file_plan(source.input()));
    // Before a run begins.
    EXPECT_ERROR(UnsupportedModel, {words},
        require_exportable(GgufExporter(), source.model, source.plan, source.spec));
}

// models.md 3.4: what people quantize most.
void GgufExporterTest::knowsEveryFamily()
{
    ModelInfo info;
    info.tokenizer = "BPE";
    for (const char* type : {"llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma",
             "gemma2", "gemma3_text", "phi3", "gpt_oss"}) {
        info.model_type = type;
        QCOMPARE(GgufExporter().model_refusal(info), std::string());
    }
    for (const arch::Family& family : arch::families()) {
        for (const std::string_view type : family.model_types) {
            const source::GgufFamily* known = source::find_gguf_family(type);
            info.model_type = type;
            if (known == nullptr) {
                QVERIFY(GgufExporter().model_refusal(info).find(type) != std::string::npos);
            } else {
                QCOMPARE(gguf_graph(known->arch).arch, known->arch);
            }
        }
    }
}

void GgufExporterTest::writesExperts_data()
{
    QTest::addColumn<std::string>("family");
    QTest::addColumn<std::string>("type");
    for (const char* family : {"mixtral", "qwen3_moe", "gpt_oss"}) {
        for (const char* type : {"q4_0", "q5_1", "q8_0"}) {
            QTest::addRow("%s %s", family, type) << std::string(family) << std::string(type);
        }
    }
}

void GgufExporterTest::writesExperts()
{
    QFETCH(std::string, family);
    QFETCH(std::string, type);
    test::ExportModel source(test::experts_config(family));
    source.plan_all(gguf_scheme(type));
    const ExportInput input = source.input();
    const Written written(input);
    const auto parts = written.parts();
    const tensor::GgufTensor* experts = parts->find("blk.1.ffn_down_exps.weight");
    QVERIFY(experts != nullptr);
    QCOMPARE(experts->shape, (std::vector<int64_t>{4, 64, 96}));
    QVERIFY(experts->type->type == gguf_type_of(gguf_scheme(type)));
    QVERIFY(parts->find("blk.0.ffn_gate_inp.weight")->type->type == GgufType::F32);
    const source::GgufFamily& found = source::gguf_family_for(parts->metadata());
    const source::GgufTensors tensors(parts, found);
    QCOMPARE(source.layers.layers.size(), std::size_t(2 * (4 + 3 * 4)));
    for (const auto& [name, weight] : source.layers.layers) {
        QVERIFY2(
            at::equal(tensors.load(name + ".weight"), test::expected_values(weight)), name.c_str());
    }
    const Json config = source::build_gguf_config(*parts, found);
    const model::DecoderSpec read = arch::family_for(config).spec_from_config(config);
    QCOMPARE(read.model_type, source.model.spec.model_type);
    for (std::size_t i = 0; i < read.blocks.size(); ++i) {
        const model::BlockSpec &mine = source.model.spec.blocks[i], &theirs = read.blocks[i];
        QCOMPARE(theirs.moe->n_experts, mine.moe->n_experts);
        QCOMPARE(theirs.moe->expert_dim, mine.moe->expert_dim);
        QCOMPARE(theirs.moe->router.top_k, mine.moe->router.top_k);
        QCOMPARE(theirs.moe->router.renormalize, mine.moe->router.renormalize);
        QCOMPARE(theirs.attention.window, mine.attention.window);
        QCOMPARE(theirs.attention.q_bias, mine.attention.q_bias);
        QVERIFY(theirs.attention.rotary.kind == mine.attention.rotary.kind);
        QCOMPARE(theirs.attention.rotary.truncate, mine.attention.rotary.truncate);
    }
    QCOMPARE(GgufExporter().verify(written.folder.path(), &input), std::vector<std::string>());
    QCOMPARE(GgufExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

void GgufExporterTest::writesExpertsThatAreNotQuantized_data()
{
    QTest::addColumn<std::string>("family");
    for (const char* family : {"mixtral", "qwen3_moe", "gpt_oss"}) {
        QTest::addRow("%s", family) << std::string(family);
    }
}

void GgufExporterTest::writesExpertsThatAreNotQuantized()
{
    QFETCH(std::string, family);
    test::ExportModel source(test::experts_config(family));
    source.plan_all(gguf_scheme("bf16"));
    const Written written(source.input());
    const auto parts = written.parts();
    QVERIFY(parts->find("blk.0.ffn_up_exps.weight")->type->type == GgufType::BF16);
    const source::GgufTensors tensors(parts, source::gguf_family_for(parts->metadata()));
    const std::string block = "model.layers.1.";
    if (family != "gpt_oss") {
        const std::string up = family == "mixtral" ? "block_sparse_moe.experts.2.w3.weight"
                                                   : "mlp.experts.2.up_proj.weight";
        QVERIFY(at::equal(tensors.load(block + up), source.tensors->load(block + up)));
        return;
    }
    const std::string experts = block + "mlp.experts.";
    const at::Tensor both = source.tensors->load(experts + "gate_up_proj").select(0, 2).t();
    const at::Tensor biases = source.tensors->load(experts + "gate_up_proj_bias").select(0, 2);
    for (const auto& [name, first] : {std::pair{"2.gate_proj", 0}, std::pair{"2.up_proj", 1}}) {
        QVERIFY(at::equal(tensors.load(experts + name + ".weight"), both.slice(0, first, {}, 2)));
        QVERIFY(at::equal(
            tensors.load(experts + name + ".bias"), biases.slice(0, first, {}, 2).to(at::kFloat)));
    }
    QVERIFY(at::equal(tensors.load(experts + "2.down_proj.weight"),
        source.tensors->load(experts + "down_proj").select(0, 2).t()));
    QVERIFY(at::equal(tensors.load(block + "self_attn.sinks"),
        source.tensors->load(block + "self_attn.sinks").to(at::kFloat)));
}

void GgufExporterTest::refusesExpertsOfSeveralSchemes()
{
    test::ExportModel source(test::experts_config("qwen3_moe"));
    source.plan_all(gguf_scheme("q4_0"));
    source.plan_layer("model.layers.1.mlp.experts.2.up_proj", gguf_scheme("q8_0"));
    EXPECT_ERROR(UnsupportedScheme,
        EXPECT_WORDS({"model.layers.1.mlp.experts.2.up_proj", "one tensor"}),
        gguf_file_plan(source.input()));
}

// llama.cpp multiplies rope.scaling.attn_factor with 0.1 ln factor + 1.
void GgufExporterTest::writesYarnsOwnFactor()
{
    Json config = test::llama_config();
    config["rope_scaling"] = {
        {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
    const auto fields_of = [](const Json& json) {
        const test::ExportModel source(json);
        GgufFields fields;
        add_model_fields(fields, source.input(), gguf_file_plan(source.input()));
        return fields;
    };
    QVERIFY(fields_of(config).find("llama.rope.scaling.attn_factor") == nullptr);
    config["rope_scaling"]["attention_factor"] = 0.7;
    const GgufFields fields = fields_of(config);
    QCOMPARE(std::get<float>(*fields.find("llama.rope.scaling.attn_factor")), 0.614774F);
    QCOMPARE(std::get<float>(*fields.find("llama.rope.scaling.factor")), 4.0F);
}

void GgufExporterTest::saysWhatLlamaCppComputesOtherwise()
{
    const auto has_note = [](Json config, const Json& change, const char* words) {
        config.update(change);
        const test::ExportModel source(config);
        const auto notes = GgufExporter().notes(source.input());
        return std::any_of(notes.begin(), notes.end(),
            [&](const std::string& note) { return note.find(words) != std::string::npos; });
    };
    QVERIFY(has_note(test::llama_config(),
        {{"model_type", "mistral"}, {"architectures", {"MistralForCausalLM"}},
            {"sliding_window", 8}},
        "window of 8"));
    QVERIFY(has_note(test::llama_config(),
        {{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}}}, "longer than 128"));
    QVERIFY(has_note(test::experts_config("gpt_oss"), Json::object(), "YaRN"));
    QVERIFY(!has_note(test::experts_config("gpt_oss"), Json::object(), "window"));
}

void GgufExporterTest::refusesFamiliesWithoutAnArchitecture()
{
    ModelInfo info;
    info.tokenizer = "BPE";
    info.model_type = "mamba";
    QVERIFY(GgufExporter().model_refusal(info).find("mamba") != std::string::npos);
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

// formats.md 6.12: biases of other types are unsupported by several back ends.
void GgufExporterTest::writesVectorsInFullPrecision()
{
    test::ExportModel source(config_of("qwen2"));
    source.plan_all(gguf_scheme("q8_0"));
    int vectors = 0;
    for (const GgufTensorPlan& tensor : gguf_file_plan(source.input()).tensors) {
        const bool is_vector = tensor.header.shape.size() == 1;
        QCOMPARE(tensor.header.type == GgufType::F32, is_vector);
        vectors += is_vector ? 1 : 0;
    }
    QCOMPARE(vectors, 2 * 5 + 1); // two norms and three biases per block, the last norm
}

// formats.md 6.12: errors in these load fine and degrade silently.
void GgufExporterTest::writesHeadSizesAndTheRotaryBase()
{
    Json config = config_of("qwen3");
    config["hidden_size"] = 64;
    config["num_attention_heads"] = 4;
    config["num_key_value_heads"] = 2;
    config["head_dim"] = 32; // not hidden / heads
    config["rope_theta"] = 1e6;
    test::ExportModel source(config);
    GgufFields fields;
    add_model_fields(fields, source.input(), gguf_file_plan(source.input()));
    const auto count = [&fields](const char* key) {
        const tensor::GgufField* field = fields.find(key);
        return field == nullptr ? 0U : std::get<uint32_t>(*field);
    };
    QCOMPARE(count("qwen3.attention.head_count"), 4U);
    QCOMPARE(count("qwen3.attention.head_count_kv"), 2U);
    QCOMPARE(count("qwen3.attention.key_length"), 32U);
    QCOMPARE(count("qwen3.attention.value_length"), 32U);
    QCOMPARE(count("qwen3.rope.dimension_count"), 32U);
    QCOMPARE(std::get<float>(*fields.find("qwen3.rope.freq_base")), 1e6F);
}

// formats.md 6.12: llama.cpp insists on every tensor of its graph.
void GgufExporterTest::findsATensorThatIsMissing()
{
    test::ExportModel source(test::llama_config());
    source.plan_all(gguf_scheme("q4_0"));
    source.tensors->remove("model.layers.1.self_attn.v_proj.weight");
    const Written written(source.input());
    const auto findings = GgufExporter().verify(written.folder.path(), nullptr);
    QCOMPARE(findings, std::vector<std::string>{"tensor blk.1.attn_v.weight is missing"});
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
