// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/text_side.h"
#include "hf_fixtures.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::hf;

class TextSideTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void namesTheFileThatIsMissing();
    void findsSpecialTokens();
    void collectsEveryIdThatEndsAText();
    void takesIdsFromTheModelWithoutATokenizerConfig();
    void stopsAtASpecialTokenOutsideTheVocabulary();
    void ignoresAPadTokenOutsideTheVocabulary();
    void choosesTheTemplate_data();
    void choosesTheTemplate();
    void readsRealFolders();
};

void TextSideTest::namesTheFileThatIsMissing()
{
    try {
        load_text_side({{"config.json", "{}"}}, "some-model");
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
        QVERIFY(QString::fromUtf8(error.what()).contains("tokenizer.json"));
        QVERIFY(QString::fromUtf8(error.what()).contains("some-model"));
    }
}

void TextSideTest::findsSpecialTokens()
{
    const TextSide side =
        load_text_side({{"tokenizer.json", toy_tokenizer_json()},
                           {"tokenizer_config.json",
                               R"({"bos_token": "<s>", "eos_token": {"content": "<end>"}})"}},
            "toy");
    QCOMPARE(side.bos, std::optional<int32_t>(0));
    QCOMPARE(side.eos, std::optional<int32_t>(8));
    QCOMPARE(side.pad, std::optional<int32_t>());
    QVERIFY(side.adds_bos);
    QVERIFY(!side.chat_template);
}

void TextSideTest::collectsEveryIdThatEndsAText()
{
    const TextSide side =
        load_text_side({{"tokenizer.json", toy_tokenizer_json()},
                           {"tokenizer_config.json", R"({"eos_token": "<end>"})"},
                           {"generation_config.json", R"({"eos_token_id": [7, 3]})"},
                           {"config.json", R"({"eos_token_id": 1})"}},
            "toy");
    QCOMPARE(side.eos_ids, (std::vector<int32_t>{7, 3, 8}));
}

void TextSideTest::takesIdsFromTheModelWithoutATokenizerConfig()
{
    const TextSide side = load_text_side(
        {{"tokenizer.json", toy_tokenizer_json()}, {"chat_template.jinja", "{{ bos_token }}"},
            {"config.json", R"({"bos_token_id": 0, "text_config": {"eos_token_id": 8}})"}},
        "toy");
    QCOMPARE(side.bos, std::optional<int32_t>(0));
    QCOMPARE(side.eos, std::optional<int32_t>(8));
    QCOMPARE(side.chat_template->bos_token, std::string("<s>"));
    QCOMPARE(side.chat_template->render({}, true), std::string("<s>"));
}

void TextSideTest::stopsAtASpecialTokenOutsideTheVocabulary()
{
    try {
        load_text_side({{"tokenizer.json", toy_tokenizer_json()},
                           {"tokenizer_config.json", R"({"eos_token": "<other>"})"}},
            "toy");
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileCorrupt);
        QVERIFY(QString::fromUtf8(error.what()).contains("<other>"));
    }
}

void TextSideTest::ignoresAPadTokenOutsideTheVocabulary()
{
    const TextSide side =
        load_text_side({{"tokenizer.json", toy_tokenizer_json()},
                           {"tokenizer_config.json", R"({"pad_token": "<pad>"})"}},
            "toy");
    QCOMPARE(side.pad, std::optional<int32_t>());
}

void TextSideTest::choosesTheTemplate_data()
{
    QTest::addColumn<QString>("config");
    QTest::addColumn<QString>("jinja");
    QTest::addColumn<QString>("expected");
    QTest::newRow("string") << R"({"chat_template": "A"})"
                            << ""
                            << "A";
    QTest::newRow("named list")
        << R"({"chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})"
        << ""
        << "D";
    QTest::newRow("list without a default")
        << R"({"chat_template": [{"name": "rag", "template": "R"}, {"name": "tool_use", "template": "T"}]})"
        << ""
        << "R";
    QTest::newRow("own file first") << R"({"chat_template": "A"})"
                                    << "J"
                                    << "J";
}

void TextSideTest::choosesTheTemplate()
{
    QFETCH(QString, config);
    QFETCH(QString, jinja);
    QFETCH(QString, expected);
    std::map<std::string, std::string> files{
        {"tokenizer.json", toy_tokenizer_json()}, {"tokenizer_config.json", config.toStdString()}};
    if (!jinja.isEmpty()) {
        files["chat_template.jinja"] = jinja.toStdString();
    }
    const TextSide side = load_text_side(files, "toy");
    QVERIFY(side.chat_template);
    QCOMPARE(side.chat_template->source, expected.toStdString());
}

void TextSideTest::readsRealFolders()
{
    const auto phi = fixture("tokenizers/phi-3");
    if (!phi) {
        QSKIP("no fixtures: set BITSMITH_FIXTURES");
    }
    const TextSide side = load_text_side(*phi);
    QCOMPARE(side.bos, std::optional<int32_t>(1));
    QVERIFY(side.eos.has_value());
    QVERIFY(side.tokenizer.vocab_size() > 32000);
}

BITSMITH_TEST(TextSideTest)

#include "text_side_test.moc"
