// SPDX-License-Identifier: GPL-3.0-or-later
// config.json -> DecoderSpec: what is read, and that damaged or foreign files end in an error that
// names the field (ahead.md 5, rows 5, 6, 8, 9, 11).
#include "arch/registry.h"
#include "support/expect_error.h"
#include "support/test_main.h"

#include <bitsmith/catalog.h>
#include <bitsmith/error.h>

#include <QtTest>

#include <cmath>
#include <set>

using namespace bitsmith;
using namespace bitsmith::model;

namespace {

Json llama_config()
{
    return {{"model_type", "llama"}, {"hidden_size", 64}, {"intermediate_size", 96},
        {"num_hidden_layers", 2}, {"num_attention_heads", 4}, {"num_key_value_heads", 2},
        {"vocab_size", 160}, {"max_position_embeddings", 64}};
}

DecoderSpec read(const Json& config)
{
    return arch::family_for(config).spec_from_config(config);
}

Json with(Json config, const Json& changes)
{
    config.update(changes);
    return config;
}

} // namespace

class ArchConfigTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void rejectsBadFields_data();
    void rejectsBadFields();
    void printsTheHeadsThatContradictTheWidth();
    void namesTheNearestFamily();
    void neverRunsCodeOfTheModel();
    void listsEveryFamilyOnce();
    void readsOldAndNewRotaryLayoutsAlike();
    void topLevelOriginalLengthWinsForPhi3();
    void tellsAMissingWindowFromANullOne();
    void givesGemma3TwoRotaryRecordsFromOldFiles();
    void readsPatternsOfWindowsWhereFilesHaveNone();
    void givesQwen2ItsSilentBiases();
    void makesDenseBlocksWhereQwenSaysSo();
    void findsTheDecoderInsideOtherConfigs();
};

void ArchConfigTest::rejectsBadFields_data()
{
    QTest::addColumn<QString>("change");
    QTest::addColumn<QString>("field");
    QTest::addColumn<bool>("unsupported");
    const auto row = [](const char* name, const char* change, const char* field,
                         bool unsupported = false) {
        QTest::newRow(name) << QString(change) << QString(field) << unsupported;
    };
    row("zero width", R"({"hidden_size": 0})", "hidden_size");
    row("negative width", R"({"hidden_size": -64})", "hidden_size");
    row("fractional width", R"({"hidden_size": 64.5})", "hidden_size");
    row("width as text", R"({"hidden_size": "64"})", "hidden_size");
    row("width of 2^62", R"({"hidden_size": 4611686018427387904})", "hidden_size");
    row("width beyond 64 bits", R"({"hidden_size": 18446744073709551615})", "hidden_size");
    row("null width", R"({"hidden_size": null})", "hidden_size");
    row("list as width", R"({"hidden_size": [64]})", "hidden_size");
    row("a billion blocks", R"({"num_hidden_layers": 1000000000})", "num_hidden_layers");
    row("heads that do not divide", R"({"num_attention_heads": 6, "num_key_value_heads": 6})",
        "num_attention_heads");
    row("kv heads that do not divide", R"({"num_key_value_heads": 3})", "num_key_value_heads");
    row("zero vocabulary", R"({"vocab_size": 0})", "vocab_size");
    row("negative eps", R"({"rms_norm_eps": -1})", "rms_norm_eps");
    row("eps as text", R"({"rms_norm_eps": "1e-5"})", "rms_norm_eps");
    row("bias as number", R"({"attention_bias": 1})", "attention_bias");
    row("unknown activation", R"({"hidden_act": "snake"})", "hidden_act", true);
    row("unknown attention", R"({"layer_types": ["full_attention", "linear_attention"]})",
        "layer_types", true);
    row("attention in both directions",
        R"({"model_type": "gemma3_text", "head_dim": 16, "use_bidirectional_attention": true})",
        "use_bidirectional_attention", true);
    row("unknown rotary scaling", R"({"rope_scaling": {"rope_type": "spiral", "factor": 2}})",
        "rope_scaling.rope_type", true);
    row("rotary scaling without factor", R"({"rope_scaling": {"type": "linear"}})",
        "rope_scaling.factor");
    row("negative rotary factor", R"({"rope_scaling": {"type": "linear", "factor": -2}})",
        "rope_scaling.factor");
    row("rotary record as text", R"({"rope_scaling": "linear"})", "rope_scaling");
    row("zero theta", R"({"rope_theta": 0})", "rope_theta");
    row("odd rotary part", R"({"partial_rotary_factor": 0.45})", "partial_rotary_factor");
    row("rotary part above one", R"({"partial_rotary_factor": 2})", "partial_rotary_factor");
    row("too few longrope factors",
        R"({"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}})",
        "short_factor");
    row("equal llama3 bounds",
        R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4}})",
        "high_freq_factor");
    row("experts beyond counting",
        R"({"model_type": "qwen3_moe", "num_experts": 1000000000, "num_experts_per_tok": 2,
            "moe_intermediate_size": 32})",
        "num_experts");
}

void ArchConfigTest::rejectsBadFields()
{
    QFETCH(QString, change);
    QFETCH(QString, field);
    QFETCH(bool, unsupported);
    try {
        read(with(llama_config(), Json::parse(change.toStdString())));
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), unsupported ? ErrorCode::UnsupportedModel : ErrorCode::InvalidSpec);
        QVERIFY2(QString(error.what()).contains(field), error.what());
    }
}

void ArchConfigTest::namesTheNearestFamily()
{
    try {
        arch::family_for(with(llama_config(), {{"model_type", "qwen4"}}));
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::UnsupportedModel);
        QVERIFY(QString::fromStdString(error.hint()).contains("qwen"));
    }
    QVERIFY_EXCEPTION_THROWN(arch::family_for(Json::object()), Error);
    QVERIFY_EXCEPTION_THROWN(arch::family_for(Json::array()), Error);
}

void ArchConfigTest::neverRunsCodeOfTheModel()
{
    const Json remote{{"auto_map", {{"AutoModelForCausalLM", "modeling.Model"}}}};
    try {
        arch::family_for(with(with(llama_config(), remote), {{"model_type", "xyz"}}));
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::UnsupportedModel);
        QVERIFY(QString(error.what()).contains("auto_map"));
    }
    QCOMPARE(read(with(llama_config(), remote)).family, std::string("llama"));
}

void ArchConfigTest::listsEveryFamilyOnce()
{
    QCOMPARE(family_catalog().size(), arch::families().size());
    std::set<std::string> types;
    for (const FamilyInfo& family : family_catalog()) {
        for (const std::string& type : family.model_types) {
            QVERIFY2(types.insert(type).second, type.c_str());
        }
    }
    QVERIFY(types.count("llama") && types.count("gpt_oss"));
}

void ArchConfigTest::readsOldAndNewRotaryLayoutsAlike()
{
    const Json old = {{"rope_theta", 500000.0},
        {"rope_scaling",
            {{"type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0},
                {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 16}}}};
    const Json current = {{"rope_parameters",
        {{"rope_type", "llama3"}, {"rope_theta", 500000.0}, {"factor", 8.0},
            {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", 16}}}};
    const RotarySpec a = read(with(llama_config(), old)).blocks[0].attention.rotary;
    const RotarySpec b = read(with(llama_config(), current)).blocks[0].attention.rotary;
    QVERIFY(a == b);
    QCOMPARE(int(a.kind), int(RotaryKind::Llama3));
    QCOMPARE(a.theta, 500000.0);
    QCOMPARE(a.original_length, 16);
    QCOMPARE(a.max_length, 64);
}

void ArchConfigTest::topLevelOriginalLengthWinsForPhi3()
{
    const std::vector<double> ones(8, 1.0);
    const Json config = with(llama_config(),
        {{"model_type", "phi3"}, {"original_max_position_embeddings", 32},
            {"rope_scaling",
                {{"type", "su"}, {"short_factor", ones}, {"long_factor", ones},
                    {"original_max_position_embeddings", 16}}}});
    const RotarySpec rotary = read(config).blocks[0].attention.rotary;
    QCOMPARE(int(rotary.kind), int(RotaryKind::LongRope));
    QCOMPARE(rotary.original_length, 32);
}

void ArchConfigTest::tellsAMissingWindowFromANullOne()
{
    const Json mistral = with(llama_config(), {{"model_type", "mistral"}});
    QCOMPARE(read(mistral).blocks[1].attention.window, 4096);
    const Json null = with(mistral, {{"sliding_window", nullptr}});
    QCOMPARE(int(read(null).blocks[1].attention.mask), int(MaskKind::Causal));
    QCOMPARE(read(with(mistral, {{"sliding_window", 7}})).blocks[0].attention.window, 7);
}

void ArchConfigTest::givesGemma3TwoRotaryRecordsFromOldFiles()
{
    const Json config = with(llama_config(),
        {{"model_type", "gemma3_text"}, {"num_hidden_layers", 6}, {"head_dim", 16},
            {"rope_theta", 1e6}, {"rope_local_base_freq", 1e4},
            {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}});
    const DecoderSpec spec = read(config);
    QCOMPARE(int(spec.blocks[0].attention.rotary.kind), int(RotaryKind::Default));
    QCOMPARE(spec.blocks[0].attention.rotary.theta, 1e4);
    QCOMPARE(int(spec.blocks[5].attention.rotary.kind), int(RotaryKind::Linear));
    QCOMPARE(spec.blocks[5].attention.rotary.theta, 1e6);
    QCOMPARE(int(spec.blocks[5].attention.mask), int(MaskKind::Causal));
    QCOMPARE(int(spec.blocks[4].attention.mask), int(MaskKind::Sliding));
    QVERIFY(spec.is_tied);
    QCOMPARE(spec.embedding_scale, 8.0);
}

void ArchConfigTest::readsPatternsOfWindowsWhereFilesHaveNone()
{
    const DecoderSpec gemma2 = read(with(llama_config(), {{"model_type", "gemma2"}}));
    QCOMPARE(gemma2.blocks[0].attention.window, 4096);
    QCOMPARE(int(gemma2.blocks[1].attention.mask), int(MaskKind::Causal));
    QCOMPARE(gemma2.blocks[0].attention.softcap, 50.0);
    QCOMPARE(gemma2.logits_softcap, 30.0);
    QCOMPARE(gemma2.blocks[0].attention.scale, 1.0 / 16);
    const Json listed =
        with(llama_config(), {{"model_type", "gemma2"}, {"layer_types", {"full_attention"}}});
    QVERIFY_EXCEPTION_THROWN(read(listed), Error);
    const Json foreign = with(llama_config(),
        {{"model_type", "gemma2"}, {"layer_types", {"full_attention", "linear_attention"}}});
    QVERIFY_EXCEPTION_THROWN(read(foreign), Error);
}

void ArchConfigTest::givesQwen2ItsSilentBiases()
{
    const AttentionSpec attention =
        read(with(llama_config(), {{"model_type", "qwen2"}})).blocks[0].attention;
    QVERIFY(attention.q_bias && attention.kv_bias && !attention.o_bias);
    QCOMPARE(int(attention.mask), int(MaskKind::Causal));
}

void ArchConfigTest::makesDenseBlocksWhereQwenSaysSo()
{
    const DecoderSpec spec = read(with(llama_config(),
        {{"model_type", "qwen3_moe"}, {"num_experts", 4}, {"num_experts_per_tok", 2},
            {"moe_intermediate_size", 32}, {"mlp_only_layers", {1}}}));
    QVERIFY(spec.blocks[0].moe && !spec.blocks[1].moe);
    QVERIFY(!spec.blocks[0].moe->router.renormalize);
    QVERIFY_EXCEPTION_THROWN(read(with(llama_config(),
                                 {{"model_type", "qwen3_moe"}, {"num_experts", 4},
                                     {"num_experts_per_tok", 5}, {"moe_intermediate_size", 32}})),
        Error);
}

void ArchConfigTest::findsTheDecoderInsideOtherConfigs()
{
    const Json nested{{"model_type", "llava"}, {"text_config", llama_config()}};
    QCOMPARE(&arch::decoder_config(nested), &nested.at("text_config"));
    const Json flat = llama_config();
    QCOMPARE(&arch::decoder_config(flat), &flat);
}

void ArchConfigTest::printsTheHeadsThatContradictTheWidth()
{
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"num_attention_heads", "found: 6", "hidden_size = 64"}),
        read(with(llama_config(), {{"num_attention_heads", 6}, {"num_key_value_heads", 6}})));
    EXPECT_ERROR(InvalidSpec,
        EXPECT_WORDS({"num_key_value_heads", "found: 3", "num_attention_heads = 4"}),
        read(with(llama_config(), {{"num_key_value_heads", 3}})));
}

BITSMITH_TEST(ArchConfigTest)
#include "config_test.moc"
