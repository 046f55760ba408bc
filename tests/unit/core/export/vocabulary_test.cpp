// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/file_ops.h"
#include "export/gguf/pre_tokenizer.h"
#include "export/gguf/vocabulary.h"
#include "hf/tokenizer.h"
#include "source/gguf_pre_tokenizers.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using tensor::GgufField;
using tensor::GgufFields;

class VocabularyTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void hashesIdsAsAPythonList();
    void knowsTheProbeTextByteForByte();
    void namesKnownTokenizersByTheirFingerprint();
    void fallsBackToTheWayTextIsSplit_data();
    void fallsBackToTheWayTextIsSplit();
    void refusesUnknownSplitting();
    void fillsGapsUpToTheRowsOfTheEmbedding();
    void refusesTokensBeyondTheEmbedding();
    void takesTokensForSpecialByTheirLooks();
    void ordersSentencePieceScoresByMerge();
    void prefersTheTemplateFile();
    void takesSpecialIdsFromTextsThenNumbers();
};

namespace {

using Files = std::map<std::string, std::string>;

std::vector<int64_t> no_ids(const std::string&)
{
    return {};
}

std::vector<std::string> texts(const GgufFields& fields, std::string_view key)
{
    const GgufField* field = fields.find(key);
    return field == nullptr ? std::vector<std::string>()
                            : std::get<std::vector<std::string>>(*field);
}

std::vector<int32_t> types(const GgufFields& fields)
{
    return std::get<std::vector<int32_t>>(*fields.find("tokenizer.ggml.token_type"));
}

Json sentence_piece_json()
{
    return {{"added_tokens",
                {{{"id", 0}, {"content", "<unk>"}, {"special", true}},
                    {{"id", 1}, {"content", "<s>"}, {"special", true}}}},
        {"normalizer",
            {{"type", "Sequence"},
                {"normalizers", {{{"type", "Prepend"}, {"prepend", "\u2581"}}}}}},
        {"pre_tokenizer", nullptr},
        {"model",
            {{"type", "BPE"}, {"unk_token", "<unk>"}, {"byte_fallback", true},
                {"vocab",
                    {{"<unk>", 0}, {"<s>", 1}, {"<0x0A>", 2}, {"a", 3}, {"b", 4}, {"ab", 5},
                        {"aab", 6}}},
                {"merges", {"a b", {"a", "ab"}}}}}};
}

} // namespace

void VocabularyTest::hashesIdsAsAPythonList()
{
    QCOMPARE(pre_fingerprint({1, 2, 3}),
        std::string("a36b1f2c3f84522dd1005145646617d7054c0851e97c72a039c0bdfac9fa07f3"));
}

void VocabularyTest::knowsTheProbeTextByteForByte()
{
    const std::string probe = pre_probe_text();
    QCOMPARE(probe.size(), std::size_t(431));
    QCOMPARE(sha256(std::as_bytes(std::span(probe.data(), probe.size()))),
        std::string("a36179c1e2b1cfcfbfad1dc779addad2ffc778201e4cf0d538bddeafa2c526da"));
}

void VocabularyTest::namesKnownTokenizersByTheirFingerprint()
{
    const char* root = std::getenv("BITSMITH_FIXTURES");
    const std::filesystem::path base = root != nullptr
        ? std::filesystem::path(root)
        : std::filesystem::path(std::getenv("BITSMITH_SOURCE_DIR")) / "../shared/fixtures";
    const std::filesystem::path file = base / "tokenizers/gpt2/tokenizer.json";
    if (!std::filesystem::exists(file)) {
        QSKIP("the tokenizer fixtures are not beside the checkout");
    }
    const hf::Tokenizer tokenizer = hf::Tokenizer::from_file(file);
    const auto encode = [&](const std::string& text) {
        const std::vector<int32_t> ids = tokenizer.encode(text, true);
        return std::vector<int64_t>(ids.begin(), ids.end());
    };
    QCOMPARE(pre_tokenizer_name(read_json_file(file), encode), std::string("gpt-2"));
}

void VocabularyTest::fallsBackToTheWayTextIsSplit_data()
{
    QTest::addColumn<std::string>("name");
    for (const char* name :
        {"llama-bpe", "smaug-bpe", "qwen2", "qwen35", "deepseek-v3", "deepseek-coder", "tekken",
            "gpt-4o", "smollm", "starcoder", "gpt-2", "bailingmoe", "seed-coder"}) {
        QTest::newRow(name) << std::string(name);
    }
}

// formats.md 6.12: a tokenizer of no known fingerprint gets a word that splits as it does. Two words
// may stand for one way.
void VocabularyTest::fallsBackToTheWayTextIsSplit()
{
    QFETCH(std::string, name);
    const source::GgufPreTokenizer& expected = source::gguf_pre_tokenizer(name, "test");
    Json tokenizer = parse_json(test::byte_tokenizer_json(), "test");
    tokenizer["pre_tokenizer"] = source::pre_tokenizer_json(expected);
    tokenizer["model"]["ignore_merges"] = expected.ignore_merges;
    const std::string found = pre_tokenizer_name(tokenizer, no_ids);
    QCOMPARE(&source::gguf_pre_tokenizer(found, "test"), &expected);
}

// formats.md 6.12: a wrong tokenizer.ggml.pre splits digits and blanks otherwise.
void VocabularyTest::refusesUnknownSplitting()
{
    Json tokenizer = parse_json(test::byte_tokenizer_json(), "test");
    tokenizer["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "z+"}}}};
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"z+"}), pre_tokenizer_name(tokenizer, no_ids));
}

// formats.md 6.12: a wrong token_type prints control tokens as text.
void VocabularyTest::fillsGapsUpToTheRowsOfTheEmbedding()
{
    const Files files = {{"tokenizer.json", test::byte_tokenizer_json()}};
    const Json config = Json::object();
    GgufFields fields;
    add_vocabulary(fields, {files, config, 270, no_ids});
    QCOMPARE(texts(fields, "tokenizer.ggml.tokens").size(), std::size_t(270));
    QCOMPARE(texts(fields, "tokenizer.ggml.tokens")[265], std::string("[PAD265]"));
    QCOMPARE(types(fields)[265], 5); // unused
    QCOMPARE(types(fields)[260], 3); // <s>: control
    QCOMPARE(types(fields)[263], 4); // tool: user-defined
    QCOMPARE(types(fields)[0], 1);
    QCOMPARE(texts(fields, "tokenizer.ggml.merges"),
        (std::vector<std::string>{"t h", "th e", "i n", "a n"}));
}

// formats.md 6.7: some files call their control tokens ordinary ones.
void VocabularyTest::takesTokensForSpecialByTheirLooks()
{
    Json tokenizer = parse_json(test::byte_tokenizer_json(), "test");
    for (Json& added : tokenizer["added_tokens"]) {
        added["special"] = false;
    }
    const Files files = {{"tokenizer.json", tokenizer.dump()}};
    const Json config = Json::object();
    GgufFields fields;
    add_vocabulary(fields, {files, config, 264, no_ids});
    QCOMPARE(types(fields)[262], 3); // <|user|>: control
    QCOMPARE(types(fields)[263], 4); // tool: user-defined
}

void VocabularyTest::refusesTokensBeyondTheEmbedding()
{
    const Files files = {{"tokenizer.json", test::byte_tokenizer_json()}};
    const Json config = Json::object();
    GgufFields fields;
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"outside the embedding"}),
        add_vocabulary(fields, {files, config, 262, no_ids}));
}

void VocabularyTest::ordersSentencePieceScoresByMerge()
{
    const Files files = {{"tokenizer.json", sentence_piece_json().dump()}};
    const Json config = Json::object();
    GgufFields fields;
    add_vocabulary(fields, {files, config, 8, no_ids});
    QCOMPARE(std::get<std::string>(*fields.find("tokenizer.ggml.model")), std::string("llama"));
    const auto scores = std::get<std::vector<float>>(*fields.find("tokenizer.ggml.scores"));
    QVERIFY(scores[5] > scores[6]); // "ab" is merged before "aab"
    QVERIFY(scores[6] > scores[3]); // what no merge makes comes last
    QCOMPARE(types(fields), (std::vector<int32_t>{2, 3, 6, 1, 1, 1, 1, 5}));
    QVERIFY(std::get<bool>(*fields.find("tokenizer.ggml.add_space_prefix")));
}

void VocabularyTest::prefersTheTemplateFile()
{
    const std::string config = R"({"chat_template": "from config"})";
    QCOMPARE(chat_template_text({{"tokenizer_config.json", config}}), std::string("from config"));
    QCOMPARE(chat_template_text(
                 {{"tokenizer_config.json", config}, {"chat_template.jinja", "from file"}}),
        std::string("from file"));
    QCOMPARE(chat_template_text({{"tokenizer_config.json",
                 R"({"chat_template": [{"name": "tool", "template": "t"},
                     {"name": "default", "template": "d"}]})"}}),
        std::string("d"));
}

void VocabularyTest::takesSpecialIdsFromTextsThenNumbers()
{
    const Files files = {{"tokenizer.json", test::byte_tokenizer_json()},
        {"tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "add_bos_token": true})"},
        {"generation_config.json", R"({"eos_token_id": [261, 262]})"}};
    const Json config = {{"bos_token_id", 5}};
    GgufFields fields;
    add_vocabulary(fields, {files, config, 264, no_ids});
    QCOMPARE(std::get<uint32_t>(*fields.find("tokenizer.ggml.bos_token_id")), 260U);
    QCOMPARE(std::get<uint32_t>(*fields.find("tokenizer.ggml.eos_token_id")), 261U);
    QVERIFY(std::get<bool>(*fields.find("tokenizer.ggml.add_bos_token")));
    QVERIFY(!std::get<bool>(*fields.find("tokenizer.ggml.add_eos_token")));
}

BITSMITH_TEST(VocabularyTest)
#include "vocabulary_test.moc"
