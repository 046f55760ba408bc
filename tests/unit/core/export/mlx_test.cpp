// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/mlx.h"
#include "export/mlx_config.h"
#include "export/mlx_layout.h"
#include "support/encoded_plan.h"
#include "support/expect_error.h"
#include "support/flip_byte.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "support/written_export.h"
#include "tensor/bit_pack.h"
#include "tensor/safetensors_reader.h"
#include "tensor/safetensors_writer.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using test::plan_encoded;
using Written = test::WrittenExport<MlxExporter>;

class MlxTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesIntegers_data();
    void writesIntegers();
    void computesOffsetsFromStoredScales();
    void writesMicroscalingTypes();
    void describesEveryLayer();
    void flattensRotaryParameters();
    void writesWindowsOfGemma3();
    void writesExperts_data();
    void writesExperts();
    void describesExperts();
    void copiesExpertsThatAreNotQuantized();
    void namesItselfInTheFiles();
    void refusesModelsThatMlxRunsOtherwise();
    void refusesSchemesItDoesNotHave();
    void refusesColumnsThatAreNoGroups();
    void saysWhatIsRounded();
    void opensAsAModel();
    void checksTensorsAgainstRules();
    void checksTensorsAgainstTheCommonRule();
    void checksStackedExperts();
    void findsAChangedByte();
    void findsAnotherConfiguration();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj"; // 64 x 96

Json gemma2_config()
{
    Json config = test::gemma3_config();
    config["architectures"] = {"Gemma2ForCausalLM"};
    config["model_type"] = "gemma2";
    return config;
}

Json config_of(const Json& source)
{
    test::ExportModel model(source);
    model.plan_all(scheme_of(4, 32));
    return mlx_config(model.input());
}

bool has_note(const test::ExportModel& model, const std::string& words)
{
    const auto notes = MlxExporter().notes(model.input());
    return std::any_of(notes.begin(), notes.end(),
        [&](const std::string& note) { return note.find(words) != std::string::npos; });
}

} // namespace

void MlxTest::writesIntegers_data()
{
    QTest::addColumn<Scheme>("scheme");
    QTest::addColumn<at::ScalarType>("type");
    for (const auto& [word, type] : {std::pair{"bf16", at::kBFloat16}, std::pair{"fp16", at::kHalf},
             std::pair{"fp32", at::kFloat}}) {
        for (const int bits : {2, 3, 4, 5, 6, 8}) {
            QTest::addRow("%d bits, sym, %s", bits, word) << scheme_of(bits, 32) << type;
            QTest::addRow("%d bits, asym, %s", bits, word) << scheme_of(bits, 32, false) << type;
        }
        QTest::addRow("minima, %s", word)
            << scheme_of(4, 32, false, DataType::IntFloatZero) << type;
    }
}

void MlxTest::writesIntegers()
{
    QFETCH(Scheme, scheme);
    QFETCH(at::ScalarType, type);
    QCOMPARE(MlxExporter().refusal(scheme), std::string());
    test::ExportModel model(test::llama_config(), type);
    model.plan_all(scheme);
    const Written written(model.input());
    const at::Tensor words = written.load(kLayer + ".weight");
    QCOMPARE(words.scalar_type(), at::kUInt32);
    QCOMPARE(words.sizes().vec(), (std::vector<int64_t>{64, 3 * scheme.bits}));
    const at::Tensor scales = written.load(kLayer + ".scales");
    const at::Tensor biases = written.load(kLayer + ".biases");
    QCOMPARE(scales.scalar_type(), type);
    QCOMPARE(biases.scalar_type(), type);
    QCOMPARE(biases.sizes().vec(), (std::vector<int64_t>{64, 3}));
    const auto spread = [](const at::Tensor& values) {
        return values.to(at::kDouble).repeat_interleave(32, 1);
    };
    const quant::QuantizedWeight& weight = model.layers.layers.find(kLayer)->second;
    const at::Tensor found =
        tensor::unpack_stream(words, scheme.bits).to(at::kDouble) * spread(scales) + spread(biases);
    const double largest = found.abs().max().item<double>();
    const double apart =
        (found - test::expected_values(weight).to(at::kDouble)).abs().max().item<double>();
    const bool is_exact = type != at::kBFloat16 && (scheme.sym || type == at::kFloat);
    QVERIFY2(apart <= (is_exact ? 1e-6 : 2 * rounding_of(type)) * largest,
        std::to_string(apart).c_str());
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void MlxTest::computesOffsetsFromStoredScales()
{
    quant::QuantizedWeight weight = test::random_weight(scheme_of(4, 32, false), 1, 32);
    weight.scales.fill_(0.1);
    weight.zeros.fill_(5);
    const AffineGroups groups = affine_groups(weight, at::kBFloat16, "p");
    const float scale = groups.scales.item<float>();
    QCOMPARE(scale, 0.10009765625F); // of 8 significant bits
    QCOMPARE(groups.biases.item<float>(), -0.5F); // -0.50048828125 rounded
    weight.scales.fill_(65504.0);
    EXPECT_ERROR(
        NumericFailure, EXPECT_WORDS({"p", "Half"}), affine_groups(weight, at::kHalf, "p"));
}

void MlxTest::writesMicroscalingTypes()
{
    for (const char* name : {"MXFP4A16", "MXFP8A16"}) {
        const Scheme scheme = parse_scheme(name);
        test::ExportModel model(test::llama_config());
        plan_encoded(model, scheme);
        const Written written(model.input());
        const auto stored = written.stored();
        QVERIFY(stored->find(kLayer + ".biases") == nullptr);
        const at::Tensor scales = stored->load(kLayer + ".scales");
        QCOMPARE(scales.scalar_type(), at::kByte);
        const quant::QuantizedWeight& weight = model.layers.layers.find(kLayer)->second;
        QVERIFY(at::equal(scales, weight.scales));
        QVERIFY(at::equal(
            tensor::unpack_stream(stored->load(kLayer + ".weight"), scheme.bits), weight.codes));
        const Json rules = written.config()["quantization"];
        QCOMPARE(rules["mode"], Json(scheme.bits == 4 ? "mxfp4" : "mxfp8"));
        QCOMPARE(rules[kLayer]["mode"], rules["mode"]);
        QCOMPARE(written.findings(model.input()), std::vector<std::string>());
        QCOMPARE(MlxExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
    }
}

void MlxTest::describesEveryLayer()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    model.plan_layer(kLayer, scheme_of(6, 32, false));
    model.plan_layer("model.layers.0.self_attn.q_proj", keep_scheme());
    plan_encoded(model, "model.layers.0.mlp.up_proj", parse_scheme("MXFP8A16"));
    const Json config = Written(model.input()).config();
    const Json& rules = config["quantization"];
    QCOMPARE(rules["group_size"], Json(32));
    QCOMPARE(rules["bits"], Json(4));
    QCOMPARE(rules["mode"], Json("affine"));
    QCOMPARE(rules[kLayer], (Json{{"group_size", 32}, {"bits", 6}}));
    QCOMPARE(rules["model.layers.0.mlp.up_proj"],
        (Json{{"group_size", 32}, {"bits", 8}, {"mode", "mxfp8"}}));
    QCOMPARE(rules["model.layers.0.self_attn.q_proj"], Json(false));
    QCOMPARE(rules["lm_head"], Json(false));
    QCOMPARE(rules.size(), std::size_t(3 + 14 + 1));
    QCOMPARE(config["quantization_config"], rules);
    QCOMPARE(config["tie_word_embeddings"], Json(false));
    QCOMPARE(config["some_unknown_key"], Json("kept"));
}

void MlxTest::flattensRotaryParameters()
{
    Json source = test::llama_config();
    source.erase("rope_theta");
    source["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
    Json config = config_of(source);
    QCOMPARE(config["rope_theta"], Json(5e5));
    QVERIFY(!config.contains("rope_parameters") && !config.contains("rope_scaling"));
    source["rope_parameters"] = {{"rope_type", "llama3"}, {"rope_theta", 5e5}, {"factor", 8.0},
        {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
        {"original_max_position_embeddings", 64}};
    config = config_of(source);
    QCOMPARE(config["rope_theta"], Json(5e5));
    QCOMPARE(config["rope_scaling"]["type"], Json("llama3"));
    QCOMPARE(config["rope_scaling"]["rope_type"], Json("llama3"));
    QCOMPARE(config["rope_scaling"]["factor"], Json(8.0));
    QCOMPARE(config["rope_scaling"]["original_max_position_embeddings"], Json(64));
    QVERIFY(!config["rope_scaling"].contains("rope_theta"));
    source.erase("rope_parameters"); // a class of mlx-lm may have another default
    QCOMPARE(config_of(source)["rope_theta"], Json(10000.0));
}

void MlxTest::writesWindowsOfGemma3()
{
    Json source = test::gemma3_config();
    source["layer_types"] = {"sliding_attention", "full_attention"};
    source.erase("rope_theta");
    source.erase("rope_local_base_freq");
    source["rope_parameters"] = {
        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 5e3}}},
        {"full_attention", {{"rope_type", "default"}, {"rope_theta", 1e6}}}};
    const Json config = config_of(source);
    QCOMPARE(config["sliding_window_pattern"], Json(2));
    QCOMPARE(config["rope_theta"], Json(1e6));
    QCOMPARE(config["rope_local_base_freq"], Json(5e3));
    QCOMPARE(config["tie_word_embeddings"], Json(true));
}

void MlxTest::writesExperts_data()
{
    QTest::addColumn<std::string>("family");
    QTest::addColumn<std::string>("module");
    QTest::addColumn<std::string>("layer");
    QTest::newRow("mixtral") << std::string("mixtral")
                             << std::string("block_sparse_moe.switch_mlp.down_proj")
                             << std::string("block_sparse_moe.experts.2.w2");
    QTest::newRow("qwen3_moe") << std::string("qwen3_moe")
                               << std::string("mlp.switch_mlp.down_proj")
                               << std::string("mlp.experts.2.down_proj");
    QTest::newRow("gpt_oss") << std::string("gpt_oss") << std::string("mlp.experts.down_proj")
                             << std::string("mlp.experts.2.down_proj");
}

void MlxTest::writesExperts()
{
    QFETCH(std::string, family);
    QFETCH(std::string, module);
    QFETCH(std::string, layer);
    const std::string block = "model.layers.1.";
    test::ExportModel model(test::experts_config(family), at::kFloat);
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    const auto stored = written.stored();
    const at::Tensor words = stored->load(block + module + ".weight");
    const at::Tensor scales = stored->load(block + module + ".scales");
    QCOMPARE(words.sizes().vec(), (std::vector<int64_t>{4, 64, 12}));
    QCOMPARE(scales.sizes().vec(), (std::vector<int64_t>{4, 64, 3}));
    const quant::QuantizedWeight& weight = model.layers.layers.find(block + layer)->second;
    QVERIFY(at::equal(tensor::unpack_stream(words.select(0, 2), 4), weight.codes));
    QVERIFY(at::equal(scales.select(0, 2), weight.scales.to(at::kFloat)));
    for (const tensor::TensorEntry& entry : stored->entries()) {
        QVERIFY2(entry.name.find(".experts.2.") == std::string::npos, entry.name.c_str());
    }
    QCOMPARE(stored->find(block + module + ".bias") != nullptr, family == "gpt_oss");
    const Json rules = written.config()["quantization"];
    QCOMPARE(rules[block + module], (Json{{"group_size", 32}, {"bits", 4}}));
    QVERIFY(!rules.contains(block + layer));
    QCOMPARE(rules.size(), std::size_t(3 + 2 * (4 + 3 + 1) + 1)); // the router, and the head
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
    QCOMPARE(MlxExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
    flip_byte(written.folder / "model.safetensors", block + module + ".weight");
    QCOMPARE(written.findings(model.input()),
        std::vector<std::string>{
            "tensor " + block + module + ".weight differs from its tuned values"});
}

// The classes have one name each, and no defaults that are the model's.
void MlxTest::describesExperts()
{
    Json source = test::experts_config("qwen3_moe");
    source.erase("num_experts"); // as transformers 5 writes it
    source["decoder_sparse_step"] = 2; // the first block is dense
    const Json qwen = config_of(source);
    QCOMPARE(qwen["num_experts"], Json(4));
    QCOMPARE(qwen["decoder_sparse_step"], Json(1));
    QCOMPARE(qwen["mlp_only_layers"], Json::array({0}));
    const Json oss = config_of(test::experts_config("gpt_oss"));
    QCOMPARE(oss["layer_types"], Json::array({"sliding_attention", "full_attention"}));
    QCOMPARE(oss["rope_scaling"]["factor"], Json(32.0));
    QCOMPARE(oss["rope_scaling"]["rope_type"], Json("yarn"));
}

void MlxTest::copiesExpertsThatAreNotQuantized()
{
    test::ExportModel model(test::experts_config("gpt_oss"));
    model.plan_layer("model.layers.0.self_attn.q_proj", scheme_of(4, 32));
    const Written written(model.input());
    const std::string experts = "model.layers.1.mlp.experts.";
    const at::Tensor both = model.tensors->load(experts + "gate_up_proj").transpose(1, 2);
    const at::Tensor biases = model.tensors->load(experts + "gate_up_proj_bias");
    QVERIFY(at::equal(written.load(experts + "up_proj.weight"), both.slice(1, 1, {}, 2)));
    QVERIFY(at::equal(written.load(experts + "gate_proj.bias"), biases.slice(1, 0, {}, 2)));
    QCOMPARE(written.config()["quantization"][experts + "up_proj"], Json(false));
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void MlxTest::namesItselfInTheFiles()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    const tensor::SafetensorsReader reader(map_file(written.folder / "model.safetensors"));
    QCOMPARE(reader.metadata().at("format"), std::string("mlx"));
}

void MlxTest::refusesModelsThatMlxRunsOtherwise()
{
    const MlxExporter exporter;
    ModelInfo info;
    info.model_type = "qwen3";
    QCOMPARE(exporter.model_refusal(info), std::string());
    info.model_type = "mamba";
    QVERIFY(exporter.model_refusal(info).find("not for mamba") != std::string::npos);
    const auto changed = [](Json config, const Json& change) {
        config.update(change);
        return config;
    };
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"among the heads", "4 heads of 32"}),
        config_of(changed(test::experts_config("mixtral"), {{"head_dim", 32}})));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"biases"}),
        config_of(changed(test::experts_config("qwen3_moe"), {{"attention_bias", true}})));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"without one"}),
        config_of(changed(test::experts_config("gpt_oss"), {{"sliding_window", nullptr}})));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"every n-th"}), config_of(test::gemma3_config()));
    test::ExportModel gemma(gemma2_config());
    gemma.plan_all(scheme_of(4, 32));
    QVERIFY(has_note(gemma, "16 of them")); // windows that mlx-lm does not have
    gemma.plan.layers.push_back({"lm_head", -1, 288, 64, keep_scheme(), "asked for"});
    gemma.plan_layer("lm_head", scheme_of(8, 32));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"head"}), mlx_layout(gemma.input()));
    Json scaled = gemma2_config();
    scaled["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}};
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"rotary", "linear"}), config_of(scaled));
}

void MlxTest::refusesSchemesItDoesNotHave()
{
    const MlxExporter exporter;
    QCOMPARE(exporter.refusal(keep_scheme()), std::string());
    for (const char* name :
        {"W4A16", "W5A16G64", "W6A16G32", "MXFP4A16", "MXFP8A16", "gguf:q4_0", "gguf:q4_1"}) {
        QCOMPARE(exporter.refusal(parse_scheme(name)), std::string());
    }
    for (const char* name : {"W7A16", "W4A16G-1", "W4A16G16", "W4A16G256", "W8A8", "MXFP4", "MXFP8",
             "NVFP4A16", "FP8_BLOCK", "FPW8A16", "MXINT4", "gguf:q4_k"}) {
        QVERIFY2(!exporter.refusal(parse_scheme(name)).empty(), name);
    }
}

void MlxTest::refusesColumnsThatAreNoGroups()
{
    test::ExportModel model(test::llama_config());
    model.plan_layer(kLayer, scheme_of(4, 64)); // 96 columns
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({kLayer, "96 columns", "multiples of 64"}),
        mlx_layout(model.input()));
}

void MlxTest::saysWhatIsRounded()
{
    const auto is_rounded = [](c10::ScalarType type, const Scheme& scheme, const char* share) {
        test::ExportModel model(test::llama_config(), type);
        model.plan_all(scheme);
        return has_note(model, share);
    };
    QVERIFY(is_rounded(at::kBFloat16, scheme_of(4, 32), "1/256 of themselves"));
    QVERIFY(is_rounded(at::kBFloat16, scheme_of(4, 32, false), "1/128 of the range"));
    QVERIFY(is_rounded(at::kHalf, scheme_of(4, 32, false), "1/1024 of the range"));
    QVERIFY(!is_rounded(at::kHalf, scheme_of(4, 32), "rounded"));
    QVERIFY(!is_rounded(at::kFloat, scheme_of(4, 32, false), "rounded"));
}

void MlxTest::opensAsAModel()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(5, 32, false));
    const Written written(model.input());
    QVERIFY(MlxExporter().recognizes(written.folder.path()));
    QCOMPARE(MlxExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
    written.folder.write("config.json", test::llama_config().dump());
    QVERIFY(!MlxExporter().recognizes(written.folder.path()));
    QCOMPARE(MlxExporter().verify(written.folder.path(), nullptr).size(), std::size_t(1));
}

void MlxTest::checksTensorsAgainstRules()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    const Json config = written.config();
    const auto finding = [&](const Json& rule) {
        Json changed = config;
        changed["quantization"][kLayer] = rule;
        written.folder.write("config.json", changed.dump());
        const auto findings = MlxExporter().verify(written.folder.path(), nullptr);
        return findings.size() == 1 && findings[0].find(kLayer) != std::string::npos;
    };
    QVERIFY(finding({{"group_size", 32}, {"bits", 8}}));
    QVERIFY(finding({{"group_size", 64}, {"bits", 4}}));
    QVERIFY(finding({{"group_size", 32}, {"bits", "four"}}));
    QVERIFY(finding({{"group_size", 32}, {"bits", 4}, {"mode", "mxfp4"}}));
    QVERIFY(finding(false));
    QVERIFY(!finding({{"group_size", 32}, {"bits", 4}}));
}

// mlx-lm names one rule for all layers and lists exceptions only.
void MlxTest::checksTensorsAgainstTheCommonRule()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    const auto findings = [&](const Json& quantization) {
        Json config = written.config();
        config["quantization"] = quantization;
        written.folder.write("config.json", config.dump());
        return MlxExporter().verify(written.folder.path(), nullptr);
    };
    const Json common = {{"group_size", 32}, {"bits", 4}};
    QCOMPARE(findings(common), std::vector<std::string>());
    QCOMPARE(findings({{"group_size", 64}, {"bits", 4}}).size(), model.layers.layers.size());
    Json exception = common;
    exception[kLayer] = {{"group_size", 32}, {"bits", 8}};
    QCOMPARE(findings(exception),
        std::vector<std::string>{"the tensors of layer " + kLayer + " do not fit its rule"});
}

void MlxTest::checksStackedExperts()
{
    const TempFolder folder;
    folder.write("config.json", R"({"quantization": {"group_size": 32, "bits": 4}})");
    const auto findings = [&](int64_t groups) {
        const at::Tensor scales = at::ones({3, 8, groups}, at::kHalf);
        tensor::publish_safetensors(disk(), folder / "model.safetensors",
            {{"e.weight", at::zeros({3, 8, 8}, at::kInt).view(at::kUInt32)}, {"e.scales", scales},
                {"e.biases", scales}});
        return MlxExporter().verify(folder.path(), nullptr);
    };
    QCOMPARE(findings(2), std::vector<std::string>());
    QCOMPARE(findings(1).size(), std::size_t(1));
}

void MlxTest::findsAChangedByte()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    flip_byte(written.folder / "model.safetensors", kLayer + ".weight");
    flip_byte(written.folder / "model.safetensors", kLayer + ".biases");
    flip_byte(written.folder / "model.safetensors", "model.norm.weight");
    QCOMPARE(written.findings(model.input()),
        (std::vector<std::string>{"tensor " + kLayer + ".weight differs from its tuned values",
            "tensor " + kLayer + ".biases differs from its tuned values",
            "tensor model.norm.weight differs from the source"}));
}

void MlxTest::findsAnotherConfiguration()
{
    test::ExportModel model(test::llama_config());
    model.plan_all(scheme_of(4, 32));
    const Written written(model.input());
    Json config = written.config();
    config["quantization"]["bits"] = 8;
    written.folder.write("config.json", config.dump());
    QCOMPARE(written.findings(model.input()).size(), std::size_t(1));
}

BITSMITH_TEST(MlxTest)
#include "mlx_test.moc"
