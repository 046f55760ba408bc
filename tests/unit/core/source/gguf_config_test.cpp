// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_config.h"
#include "source/gguf_rope.h"
#include "support/expect_error.h"
#include "support/gguf_builder.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <QtTest>

#include <cmath>
#include <numbers>

using namespace bitsmith;
using namespace bitsmith::source;
using test::GgufBuilder;

namespace {

GgufBuilder model_of(const std::string& arch)
{
    GgufBuilder builder;
    builder.text("general.architecture", arch);
    builder.u32(arch + ".embedding_length", 64).u32(arch + ".block_count", 6);
    builder.u32(arch + ".context_length", 512).u32(arch + ".feed_forward_length", 128);
    builder.u32(arch + ".attention.head_count", 4).u32(arch + ".attention.head_count_kv", 2);
    builder.f32(arch + ".attention.layer_norm_rms_epsilon", 1e-6F);
    builder.floats("token_embd.weight", {2, 3}, {0, 0, 0, 0, 0, 0});
    return builder;
}

Json config_of(GgufBuilder& builder)
{
    const GgufParts parts(std::vector<std::shared_ptr<const ByteSource>>{builder.source()});
    return build_gguf_config(parts, gguf_family_for(parts.metadata()));
}

ErrorCode code_of(GgufBuilder& builder)
{
    try {
        config_of(builder);
    } catch (const Error& error) {
        return error.code();
    }
    return ErrorCode::Internal;
}

/// rope_freqs.weight as the converter computes it (formats.md 6.6 item 3).
std::vector<float> llama3_values(double theta, double factor, double original)
{
    std::vector<float> values;
    for (int i = 0; i < 64; ++i) {
        const double wavelength = 2 * std::numbers::pi * std::pow(theta, 2.0 * i / 128);
        const double smooth = (original / wavelength - 1) / 3;
        const double between = 1 / ((1 - smooth) / factor + smooth);
        const double value = wavelength < original / 4 ? 1
            : wavelength > original                    ? factor
                                                       : between;
        values.push_back(static_cast<float>(value));
    }
    return values;
}

} // namespace

class GgufConfigTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void rebuildsAnOrdinaryConfig();
    void tiesTheHeadOnlyWhenItIsAbsent();
    void saysWhichTypeTheModelIsWrittenIn();
    void knowsGemmasLayerPatterns();
    void readsExpertsOfQwen();
    void readsGptOss();
    void recognisesLlama3Scaling();
    void readsYarnAndLongRope();
    void refusesImpossibleSizes_data();
    void refusesImpossibleSizes();
    void refusesWhatItCannotSay_data();
    void refusesWhatItCannotSay();
    void showsTextOfTheFileAsPrintable();
    void listsEveryEndOfGeneration();
};

void GgufConfigTest::rebuildsAnOrdinaryConfig()
{
    GgufBuilder builder = model_of("llama");
    builder.f32("llama.rope.freq_base", 100000.0F).u32("tokenizer.ggml.eos_token_id", 2);
    const Json config = config_of(builder);
    QCOMPARE(config["model_type"].get<std::string>(), std::string("llama"));
    QCOMPARE(config["architectures"][0].get<std::string>(), std::string("LlamaForCausalLM"));
    QCOMPARE(config["hidden_size"].get<int>(), 64);
    QCOMPARE(config["head_dim"].get<int>(), 16);
    QCOMPARE(config["num_key_value_heads"].get<int>(), 2);
    QCOMPARE(config["vocab_size"].get<int>(), 3);
    QCOMPARE(config["rms_norm_eps"].get<double>(), 1e-6);
    QCOMPARE(config["rope_theta"].get<double>(), 100000.0);
    QVERIFY(config["rope_scaling"].is_null());
    QCOMPARE(config["eos_token_id"].get<int>(), 2);
    QVERIFY(!config.contains("bos_token_id"));
}

void GgufConfigTest::tiesTheHeadOnlyWhenItIsAbsent()
{
    GgufBuilder builder = model_of("qwen3");
    QVERIFY(config_of(builder)["tie_word_embeddings"].get<bool>());
    builder.floats("output.weight", {2, 3}, {0, 0, 0, 0, 0, 0});
    QVERIFY(!config_of(builder)["tie_word_embeddings"].get<bool>());
}

void GgufConfigTest::saysWhichTypeTheModelIsWrittenIn()
{
    GgufBuilder floats = model_of("llama");
    QCOMPARE(config_of(floats)["torch_dtype"].get<std::string>(), std::string("float32"));
    floats.tensor("output.weight", {32, 1}, 3, test::Bytes(20)); // Q4_1
    QCOMPARE(config_of(floats)["torch_dtype"].get<std::string>(), std::string("bfloat16"));
}

void GgufConfigTest::knowsGemmasLayerPatterns()
{
    GgufBuilder second = model_of("gemma2");
    const Json config = config_of(second);
    QCOMPARE(config["layer_types"][0].get<std::string>(), std::string("sliding_attention"));
    QCOMPARE(config["layer_types"][1].get<std::string>(), std::string("full_attention"));
    QCOMPARE(config["attn_logit_softcapping"].get<double>(), 50.0);
    QCOMPARE(config["query_pre_attn_scalar"].get<int>(), 16);
    GgufBuilder third = model_of("gemma3");
    const Json layers = config_of(third)["layer_types"];
    QCOMPARE(layers.size(), std::size_t{6});
    QCOMPARE(layers[4].get<std::string>(), std::string("sliding_attention"));
    QCOMPARE(layers[5].get<std::string>(), std::string("full_attention"));
}

void GgufConfigTest::readsExpertsOfQwen()
{
    GgufBuilder builder = model_of("qwen3moe");
    builder.u32("qwen3moe.expert_count", 8).u32("qwen3moe.expert_used_count", 2);
    builder.u32("qwen3moe.expert_feed_forward_length", 48);
    const Json config = config_of(builder);
    QCOMPARE(config["num_experts"].get<int>(), 8);
    QCOMPARE(config["num_experts_per_tok"].get<int>(), 2);
    QCOMPARE(config["moe_intermediate_size"].get<int>(), 48);
    QVERIFY(config["norm_topk_prob"].get<bool>());
}

void GgufConfigTest::readsGptOss()
{
    GgufBuilder builder = model_of("gpt-oss");
    builder.u32("gpt-oss.expert_count", 8).u32("gpt-oss.expert_used_count", 2);
    builder.u32("gpt-oss.expert_feed_forward_length", 48);
    builder.u32("gpt-oss.attention.sliding_window", 128);
    builder.text("gpt-oss.rope.scaling.type", "yarn").f32("gpt-oss.rope.scaling.factor", 32);
    builder.u32("gpt-oss.rope.scaling.original_context_length", 4096);
    const Json config = config_of(builder);
    QCOMPARE(config["model_type"].get<std::string>(), std::string("gpt_oss"));
    QCOMPARE(config["num_local_experts"].get<int>(), 8);
    QCOMPARE(config["intermediate_size"].get<int>(), 48);
    QCOMPARE(config["layer_types"][0].get<std::string>(), std::string("sliding_attention"));
    QCOMPARE(config["layer_types"][1].get<std::string>(), std::string("full_attention"));
    QVERIFY(!config["rope_scaling"]["truncate"].get<bool>());
    GgufBuilder plain = model_of("gpt-oss");
    plain.u32("gpt-oss.expert_count", 8).u32("gpt-oss.expert_used_count", 2);
    plain.u32("gpt-oss.expert_feed_forward_length", 48);
    plain.u32("gpt-oss.attention.sliding_window", 128);
    // Without it the family's own scaling would apply.
    QCOMPARE(
        config_of(plain)["rope_scaling"]["rope_type"].get<std::string>(), std::string("default"));
}

void GgufConfigTest::recognisesLlama3Scaling()
{
    const Json scaling = llama3_scaling_from(llama3_values(500000, 32, 8192), 500000);
    QCOMPARE(scaling["rope_type"].get<std::string>(), std::string("llama3"));
    QCOMPARE(scaling["factor"].get<double>(), 32.0);
    QCOMPARE(scaling["original_max_position_embeddings"].get<int>(), 8192);
    std::vector<float> other = llama3_values(500000, 32, 8192);
    other[40] *= 1.1F;
    QVERIFY(llama3_scaling_from(other, 500000).is_null());
    QVERIFY(llama3_scaling_from(llama3_values(500000, 32, 8192), 10000).is_null());
}

void GgufConfigTest::readsYarnAndLongRope()
{
    GgufBuilder yarn = model_of("qwen2");
    yarn.text("qwen2.rope.scaling.type", "yarn").f32("qwen2.rope.scaling.factor", 4);
    yarn.u32("qwen2.rope.scaling.original_context_length", 128);
    const Json scaling = config_of(yarn)["rope_scaling"];
    QCOMPARE(scaling["rope_type"].get<std::string>(), std::string("yarn"));
    QCOMPARE(scaling["factor"].get<double>(), 4.0);
    QVERIFY(!scaling.contains("attention_factor"));
    yarn.f32("qwen2.rope.scaling.attn_factor", 0.5);
    QVERIFY(std::abs(config_of(yarn)["rope_scaling"]["attention_factor"].get<double>()
                - 0.5 * (0.1 * std::log(4.0) + 1))
        < 1e-12);
    GgufBuilder phi = model_of("phi3");
    phi.u32("phi3.rope.dimension_count", 12).u32("phi3.attention.sliding_window", 0);
    phi.floats("rope_factors_long.weight", {2}, {1, 2});
    phi.floats("rope_factors_short.weight", {2}, {1, 1});
    const Json config = config_of(phi);
    QCOMPARE(config["partial_rotary_factor"].get<double>(), 0.75);
    QVERIFY(config["sliding_window"].is_null());
    QCOMPARE(config["rope_scaling"]["long_factor"][1].get<double>(), 2.0);
}

void GgufConfigTest::refusesWhatItCannotSay_data()
{
    QTest::addColumn<int>("change");
    QTest::addColumn<int>("code");
    const auto add = [](const char* name, int change, ErrorCode code) {
        QTest::newRow(name) << change << static_cast<int>(code);
    };
    add("unknown rope scaling", 0, ErrorCode::UnsupportedModel);
    add("yarn without its length", 1, ErrorCode::FileCorrupt);
    add("values of another size than keys", 2, ErrorCode::UnsupportedModel);
    add("partial rotary where there is none", 3, ErrorCode::UnsupportedModel);
    add("one list of rotary factors", 4, ErrorCode::MissingTensor);
    add("unknown llama3 setting", 5, ErrorCode::UnsupportedModel);
    add("rotary base that is not a number", 6, ErrorCode::FileCorrupt);
}

void GgufConfigTest::refusesWhatItCannotSay()
{
    QFETCH(int, change);
    QFETCH(int, code);
    GgufBuilder builder = model_of("llama");
    switch (change) {
    case 0:
        builder.text("llama.rope.scaling.type", "magic").f32("llama.rope.scaling.factor", 2);
        break;
    case 1:
        builder.text("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 2);
        break;
    case 2:
        builder.u32("llama.attention.value_length", 8);
        break;
    case 3:
        builder.u32("llama.rope.dimension_count", 8);
        break;
    case 4:
        builder.floats("rope_factors_long.weight", {2}, {1, 2});
        break;
    case 5:
        builder.floats("rope_freqs.weight", {2}, {1, 7});
        break;
    default:
        builder.f32("llama.rope.freq_base", std::nanf(""));
    }
    QCOMPARE(static_cast<int>(code_of(builder)), code);
}

void GgufConfigTest::showsTextOfTheFileAsPrintable()
{
    GgufBuilder scaling = model_of("llama");
    scaling.text("llama.rope.scaling.type", "a\nb").f32("llama.rope.scaling.factor", 2);
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"found: a\\x0ab"}), config_of(scaling));
    GgufBuilder family;
    family.text("general.architecture", "a\nb");
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"found: a\\x0ab"}), config_of(family));
}

void GgufConfigTest::listsEveryEndOfGeneration()
{
    GgufBuilder builder = model_of("llama");
    builder.u32("tokenizer.ggml.eos_token_id", 7).u32("tokenizer.ggml.eot_token_id", 9);
    builder.f32("general.sampling.temp", 0.6F);
    const tensor::GgufReader reader(builder.source());
    const Json config = build_gguf_generation_config(reader.metadata());
    QCOMPARE(config["eos_token_id"].dump(), std::string("[7,9]"));
    QCOMPARE(config["temperature"].get<double>(), 0.6);
}

void GgufConfigTest::refusesImpossibleSizes_data()
{
    QTest::addColumn<QString>("key");
    QTest::addColumn<quint32>("value");
    QTest::newRow("no width") << "embedding_length" << 0U;
    QTest::newRow("no blocks") << "block_count" << 0U;
    QTest::newRow("more blocks than any model") << "block_count" << 2000000000U;
    QTest::newRow("block count beyond 2^31") << "block_count" << 4000000000U;
    QTest::newRow("no heads") << "attention.head_count" << 0U;
    QTest::newRow("no key/value heads") << "attention.head_count_kv" << 0U;
    QTest::newRow("key/value heads that do not divide") << "attention.head_count_kv" << 3U;
    QTest::newRow("no context") << "context_length" << 0U;
}

void GgufConfigTest::refusesImpossibleSizes()
{
    QFETCH(QString, key);
    QFETCH(quint32, value);
    const std::vector<std::pair<std::string, uint32_t>> sizes = {{"embedding_length", 64},
        {"block_count", 6}, {"context_length", 512}, {"feed_forward_length", 128},
        {"attention.head_count", 4}, {"attention.head_count_kv", 2}};
    GgufBuilder builder;
    builder.text("general.architecture", "gemma3");
    for (const auto& [name, number] : sizes) {
        builder.u32("gemma3." + name, name == key.toStdString() ? value : number);
    }
    builder.f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6F);
    builder.floats("token_embd.weight", {2, 3}, {0, 0, 0, 0, 0, 0});
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"gemma3." + key.toStdString()}), config_of(builder));
}

BITSMITH_TEST(GgufConfigTest)
#include "gguf_config_test.moc"
