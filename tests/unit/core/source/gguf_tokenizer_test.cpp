// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "hf/tokenizer.h"
#include "source/gguf_pre_tokenizers.h"
#include "source/gguf_tokenizer.h"
#include "support/expect_error.h"
#include "support/gguf_builder.h"
#include "support/test_main.h"
#include "tensor/gguf_reader.h"

#include <bitsmith/error.h>

#include <QtTest>

#include <fstream>
#include <sstream>

using namespace bitsmith;
using namespace bitsmith::source;
using test::GgufBuilder;

namespace {

using Tokens = std::vector<std::string>;

GgufBuilder bpe(const Tokens& tokens, const Tokens& merges, const std::string& pre = "gpt-2")
{
    GgufBuilder builder;
    builder.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
    builder.texts("tokenizer.ggml.tokens", tokens).texts("tokenizer.ggml.merges", merges);
    return builder;
}

GgufBuilder sentencepiece(const Tokens& tokens, const std::vector<float>& scores)
{
    GgufBuilder builder;
    builder.text("tokenizer.ggml.model", "llama");
    builder.texts("tokenizer.ggml.tokens", tokens).array("tokenizer.ggml.scores", 6, scores);
    return builder;
}

Json tokenizer_of(GgufBuilder& builder)
{
    const tensor::GgufReader reader(builder.source());
    return Json::parse(build_gguf_tokenizer(reader.metadata()).files.at("tokenizer.json"));
}

/// The field that the vocabulary's error names.
std::string damaged_field(GgufBuilder& builder)
{
    try {
        tokenizer_of(builder);
    } catch (const Error& error) {
        for (const auto& [key, value] : error.context()) {
            if (key == "field") {
                return concat(to_string(error.code()), " ", value);
            }
        }
    }
    return "no error";
}

QString fixture(const QString& name)
{
    const QString folder = qEnvironmentVariable(
        "BITSMITH_FIXTURES", qEnvironmentVariable("BITSMITH_SOURCE_DIR") + "/../shared/fixtures");
    return folder + "/tokenizers/vocab-vectors/" + name;
}

std::string read_all(const QString& name)
{
    std::ifstream stream(name.toStdString(), std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

} // namespace

class GgufTokenizerTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void keepsMergesAndSpecialTokens();
    void ordersMergesByScore();
    void ordersMergesByIdWhenScoresAreLost();
    void addsBeginAndEndTokens();
    void keepsNamedTemplates();
    void writesEverySplitRule();
    void refusesVocabulariesThatContradictThemselves();
    void showsTextOfTheFileAsPrintable();
    void encodesAsLlamaCppDoes_data();
    void encodesAsLlamaCppDoes();
};

void GgufTokenizerTest::keepsMergesAndSpecialTokens()
{
    GgufBuilder builder = bpe({"a", "b", "ab", "<end>", "<tool>", "[PAD5]"}, {"a b"}, "smollm");
    builder.array<int32_t>("tokenizer.ggml.token_type", 5, {1, 1, 1, 3, 4, 5});
    const Json tokenizer = tokenizer_of(builder);
    QCOMPARE(tokenizer["model"]["merges"].dump(), std::string(R"([["a","b"]])"));
    QCOMPARE(tokenizer["model"]["vocab"].size(), std::size_t{5}); // without the filler
    QCOMPARE(tokenizer["added_tokens"].size(), std::size_t{2});
    QCOMPARE(tokenizer["added_tokens"][0]["special"].get<bool>(), true);
    QCOMPARE(tokenizer["added_tokens"][1]["special"].get<bool>(), false);
    QVERIFY(tokenizer["post_processor"].is_null());
    const Json& steps = tokenizer["pre_tokenizer"]["pretokenizers"];
    QCOMPARE(steps[0]["type"].get<std::string>(), std::string("Digits"));
    QCOMPARE(steps[1]["use_regex"].get<bool>(), true);
}

void GgufTokenizerTest::ordersMergesByScore()
{
    GgufBuilder builder =
        sentencepiece({"a", "b", "c", "abc", "ab", "bc"}, {-9, -9, -9, -3, -2, -1});
    QCOMPARE(tokenizer_of(builder)["model"]["merges"].dump(),
        std::string(R"([["b","c"],["a","b"],["a","bc"],["ab","c"]])"));
}

void GgufTokenizerTest::ordersMergesByIdWhenScoresAreLost()
{
    GgufBuilder builder = sentencepiece({"a", "b", "c", "bc", "ab"}, {-1, -1, -1, -1, -1});
    QCOMPARE(
        tokenizer_of(builder)["model"]["merges"].dump(), std::string(R"([["b","c"],["a","b"]])"));
}

void GgufTokenizerTest::addsBeginAndEndTokens()
{
    GgufBuilder builder = bpe({"a", "<s>", "</s>"}, {});
    builder.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
    builder.flag("tokenizer.ggml.add_bos_token", true);
    builder.flag("tokenizer.ggml.add_eos_token", true);
    const Json processor = tokenizer_of(builder)["post_processor"];
    QCOMPARE(processor["single"].size(), std::size_t{3});
    QCOMPARE(processor["single"][0]["SpecialToken"]["id"].get<std::string>(), std::string("<s>"));
    QCOMPARE(processor["special_tokens"]["</s>"].dump(),
        std::string(R"({"id":"</s>","ids":[2],"tokens":["</s>"]})"));
}

void GgufTokenizerTest::keepsNamedTemplates()
{
    GgufBuilder builder = bpe({"a"}, {});
    builder.text("tokenizer.chat_template", "main");
    builder.texts("tokenizer.chat_templates", {"tool_use"});
    builder.text("tokenizer.chat_template.tool_use", "tools");
    const tensor::GgufReader reader(builder.source());
    const GgufTextFiles out = build_gguf_tokenizer(reader.metadata());
    QCOMPARE(out.files.at("chat_template.jinja"), std::string("main"));
    const Json config = Json::parse(out.files.at("tokenizer_config.json"));
    QCOMPARE(config["chat_template"][1]["template"].get<std::string>(), std::string("tools"));
}

void GgufTokenizerTest::writesEverySplitRule()
{
    // Every pattern must be one that the tokenizer's regular expressions accept.
    for (const char* name : {"llama-bpe", "smaug-bpe", "qwen2", "megrez", "qwen35", "deepseek-v3",
             "deepseek-coder", "gpt-2", "starcoder", "tekken", "gpt-4o", "tiny_aya", "falcon",
             "default", "bailingmoe", "seed-coder", "exaone-moe", "bloom", "viking", "superbpe"}) {
        Json tokenizer = Json::parse(R"({"version":"1.0","truncation":null,"padding":null,
            "added_tokens":[],"normalizer":null,"post_processor":null,"decoder":null,
            "model":{"type":"BPE","dropout":null,"unk_token":null,
            "continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,
            "byte_fallback":false,"vocab":{"1":0,"a":1},"merges":[]}})");
        tokenizer["pre_tokenizer"] = pre_tokenizer_json(gguf_pre_tokenizer(name, "test.gguf"));
        const auto ids = hf::Tokenizer::from_json(tokenizer.dump(), name).encode("a1a", false);
        QCOMPARE(ids, (std::vector<int32_t>{1, 0, 1}));
    }
    QVERIFY_EXCEPTION_THROWN(gguf_pre_tokenizer("nobody-knows", "test.gguf"), Error);
}

void GgufTokenizerTest::refusesVocabulariesThatContradictThemselves()
{
    GgufBuilder absent = bpe({"a", "b"}, {"a b"});
    QCOMPARE(damaged_field(absent), std::string("file_corrupt tokenizer.ggml.merges"));
    GgufBuilder half = bpe({"a", "b"}, {"ab"});
    QCOMPARE(damaged_field(half), std::string("file_corrupt tokenizer.ggml.merges"));
    GgufBuilder twice = bpe({"a", "a"}, {});
    QCOMPARE(damaged_field(twice), std::string("file_corrupt tokenizer.ggml.tokens"));
    GgufBuilder types = bpe({"a", "b"}, {});
    types.array<int32_t>("tokenizer.ggml.token_type", 5, {1});
    QCOMPARE(damaged_field(types), std::string("file_corrupt tokenizer.ggml.token_type"));
    GgufBuilder outside = bpe({"a", "b"}, {});
    outside.u32("tokenizer.ggml.eos_token_id", 2);
    QCOMPARE(damaged_field(outside), std::string("file_corrupt tokenizer.ggml.eos_token_id"));
    GgufBuilder scores = sentencepiece({"a", "b"}, {1});
    QCOMPARE(damaged_field(scores), std::string("file_corrupt tokenizer.ggml.scores"));
    GgufBuilder text = bpe({"\xFF\xFE"}, {});
    QCOMPARE(damaged_field(text), std::string("file_corrupt tokenizer.ggml.tokens"));
    GgufBuilder kind;
    kind.text("tokenizer.ggml.model", "bert").texts("tokenizer.ggml.tokens", {"a"});
    QCOMPARE(damaged_field(kind), std::string("unsupported_model tokenizer.ggml.model"));
}

void GgufTokenizerTest::showsTextOfTheFileAsPrintable()
{
    const std::string raw = "a\x1b[2J\nb", shown = "a\\x1b[2J\\x0ab";
    GgufBuilder merges = bpe({"a", "b"}, {raw});
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"found: " + shown}), tokenizer_of(merges));
    GgufBuilder pre = bpe({"a"}, {}, raw);
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"found: " + shown}), tokenizer_of(pre));
    GgufBuilder kind;
    kind.text("tokenizer.ggml.model", raw).texts("tokenizer.ggml.tokens", {"a"});
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"found: " + shown}), tokenizer_of(kind));
}

void GgufTokenizerTest::encodesAsLlamaCppDoes_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"llama-spm", "phi-3", "gpt-2", "falcon", "starcoder"}) {
        QTest::newRow(name) << QString("ggml-vocab-%1.gguf").arg(name);
    }
}

void GgufTokenizerTest::encodesAsLlamaCppDoes()
{
    QFETCH(QString, name);
    if (!QFile::exists(fixture(name))) {
        QSKIP("vocabulary vectors of llama.cpp are not beside the checkout");
    }
    const tensor::GgufReader reader(map_file(fixture(name).toStdString()));
    const GgufTextFiles out = build_gguf_tokenizer(reader.metadata());
    const auto tokenizer =
        hf::Tokenizer::from_json(out.files.at("tokenizer.json"), name.toStdString());
    std::string inputs = read_all(fixture(name + ".inp"));
    std::istringstream expected(read_all(fixture(name + ".out")));
    const std::string mark = "\n__ggml_vocab_test__\n";
    int n_checked = 0;
    for (std::string line; std::getline(expected, line); ++n_checked) {
        const std::size_t end = std::min(inputs.find(mark), inputs.size());
        const std::string text = inputs.substr(0, end);
        inputs.erase(0, end + mark.size());
        std::istringstream numbers(line);
        std::vector<int32_t> ids;
        for (int32_t id = 0; numbers >> id;) {
            ids.push_back(id);
        }
        QVERIFY2(tokenizer.encode(text, false) == ids, text.c_str());
    }
    QVERIFY(n_checked > 40);
}

BITSMITH_TEST(GgufTokenizerTest)
#include "gguf_tokenizer_test.moc"
