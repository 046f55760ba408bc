// SPDX-License-Identifier: GPL-3.0-or-later
// A toy tokenizer for the rules; real ones, with llama.cpp's vectors, where the fixtures are there.
#include "hf/tokenizer.h"
#include "hf_fixtures.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::hf;

namespace {

std::vector<std::string> split_text(const std::string& text, const std::string& separator)
{
    std::vector<std::string> parts;
    size_t begin = 0;
    for (size_t end = text.find(separator); end != std::string::npos;
         end = text.find(separator, begin)) {
        parts.push_back(text.substr(begin, end - begin));
        begin = end + separator.size();
    }
    parts.push_back(text.substr(begin));
    return parts;
}

std::string message_of(const std::string& json)
{
    try {
        Tokenizer::from_json(json, "toy.json");
    } catch (const Error& error) {
        return error.code() == ErrorCode::FileCorrupt ? error.what() : "another code";
    }
    return "no error";
}

std::string replaced(std::string text, const std::string& from, const std::string& to)
{
    const size_t at = text.find(from);
    return at == std::string::npos ? "nothing replaced" : text.replace(at, from.size(), to);
}

} // namespace

class TokenizerTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void encodesAndDecodes();
    void addsSpecialTokensWhenAsked();
    void knowsTokensAndIds();
    void keepsWorkingAfterAMove();
    void streamsCompleteCharactersOnly();
    void streamsTheSameTextAsDecode();
    void namesTheByteThatIsNotUtf8();
    void refusesTextsAboveTheLimit();
    void refusesDamagedFiles_data();
    void refusesDamagedFiles();
    void namesAnAbsentFile();
    void agreesWithRecordedIds_data();
    void agreesWithRecordedIds();
    void endsOnLongRuns_data();
    void endsOnLongRuns();
    void endsOnAPathologicalExpression();
};

void TokenizerTest::encodesAndDecodes()
{
    const Tokenizer tokenizer = Tokenizer::from_json(toy_tokenizer_json(), "toy.json");
    const std::vector<int32_t> ids = tokenizer.encode("abc", false);
    QCOMPARE(ids, (std::vector<int32_t>{4, 3}));
    QCOMPARE(tokenizer.decode(ids, true), std::string("abc"));
    QVERIFY(tokenizer.encode("", false).empty());
}

void TokenizerTest::addsSpecialTokensWhenAsked()
{
    const Tokenizer tokenizer = Tokenizer::from_json(toy_tokenizer_json(), "toy.json");
    QCOMPARE(tokenizer.encode("a", true), (std::vector<int32_t>{0, 1}));
    QCOMPARE(tokenizer.decode(std::vector<int32_t>{0, 1}, true), std::string("a"));
    QCOMPARE(tokenizer.decode(std::vector<int32_t>{0, 1}, false), std::string("<s>a"));
}

void TokenizerTest::knowsTokensAndIds()
{
    const Tokenizer tokenizer = Tokenizer::from_json(toy_tokenizer_json(), "toy.json");
    QCOMPARE(tokenizer.vocab_size(), 9);
    QCOMPARE(tokenizer.token_to_id("ab"), std::optional<int32_t>(4));
    QCOMPARE(tokenizer.token_to_id("zz"), std::optional<int32_t>());
    QCOMPARE(tokenizer.id_to_token(8), std::optional<std::string>("<end>"));
    QCOMPARE(tokenizer.id_to_token(9), std::optional<std::string>());
    QCOMPARE(tokenizer.id_to_token(-1), std::optional<std::string>());
}

void TokenizerTest::keepsWorkingAfterAMove()
{
    Tokenizer first = Tokenizer::from_json(toy_tokenizer_json(), "toy.json");
    TextStream stream(first);
    const Tokenizer second = std::move(first);
    QCOMPARE(second.encode("c", false), (std::vector<int32_t>{3}));
    QCOMPARE(stream.push(3), std::string("c"));
}

void TokenizerTest::streamsCompleteCharactersOnly()
{
    const Tokenizer tokenizer = Tokenizer::from_json(toy_tokenizer_json(), "toy.json");
    TextStream stream(tokenizer);
    QCOMPARE(stream.push(1), std::string("a"));
    QCOMPARE(stream.push(5), std::string());
    QCOMPARE(stream.push(6), std::string("\u00e9"));
    QCOMPARE(stream.push(8), std::string());
    QCOMPARE(stream.push(4), std::string("ab"));
}

void TokenizerTest::streamsTheSameTextAsDecode()
{
    const auto file = fixture("tokenizers/phi-3/tokenizer.json");
    if (!file) {
        QSKIP("no fixtures: set BITSMITH_FIXTURES");
    }
    const Tokenizer tokenizer = Tokenizer::from_file(*file);
    const std::string text = "Grüße, 世界! 🙂🚀 done.\n\n  two  spaces";
    const std::vector<int32_t> ids = tokenizer.encode(text, true);
    TextStream stream(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) {
        streamed += stream.push(id);
    }
    QCOMPARE(streamed, tokenizer.decode(ids, true));
    QCOMPARE(streamed, text);
}

void TokenizerTest::namesTheByteThatIsNotUtf8()
{
    const Tokenizer tokenizer = Tokenizer::from_json(toy_tokenizer_json(), "toy.json");
    try {
        tokenizer.encode("ab\xff", false);
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileCorrupt);
        QVERIFY(QString::fromStdString(error.message()).contains("byte 2"));
    }
}

void TokenizerTest::refusesTextsAboveTheLimit()
{
    const Tokenizer tokenizer = Tokenizer::from_json(toy_tokenizer_json(), "toy.json");
    QVERIFY_THROWS_EXCEPTION(
        Error, tokenizer.encode(std::string(static_cast<size_t>(kMaxTextBytes) + 1, 'a'), false));
}

void TokenizerTest::refusesDamagedFiles_data()
{
    const std::string good = toy_tokenizer_json();
    QTest::addColumn<std::string>("json");
    QTest::addColumn<QString>("part");
    QTest::newRow("empty") << std::string() << "";
    QTest::newRow("cut off") << good.substr(0, good.size() / 2) << "EOF";
    QTest::newRow("not a tokenizer") << std::string("{\"a\": 1}") << "toy.json";
    QTest::newRow("not UTF-8") << replaced(good, "<end>", "\xff") << "UTF-8";
    QTest::newRow("merge of an absent token") << replaced(good, "a b", "a z") << "z";
    QTest::newRow("id of two tokens") << replaced(good, "\"c\": 3", "\"c\": 2") << "share id 2";
    QTest::newRow("added token under another id")
        << replaced(good, "\"id\": 8", "\"id\": 11") << "<end>";
    QTest::newRow("unknown model type") << replaced(good, "\"BPE\"", "\"Other\"") << "toy.json";
    QTest::newRow("bad regex") << replaced(good, "\"pre_tokenizer\": null",
        R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": false})")
                               << "toy.json";
    QTest::newRow("deep nesting") << std::string(200'000, '[') << "toy.json";
}

void TokenizerTest::refusesDamagedFiles()
{
    QFETCH(std::string, json);
    QFETCH(QString, part);
    const QString message = QString::fromStdString(message_of(json));
    QVERIFY2(message.contains("not a tokenizer") && message.contains(part), qPrintable(message));
}

void TokenizerTest::namesAnAbsentFile()
{
    try {
        Tokenizer::from_file("absent/tokenizer.json");
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
        QVERIFY(QString::fromUtf8(error.what()).contains("absent/tokenizer.json"));
    }
}

void TokenizerTest::agreesWithRecordedIds_data()
{
    QTest::addColumn<QString>("folder");
    QTest::addColumn<QString>("vectors");
    QTest::newRow("gpt2") << "gpt2"
                          << "gpt-2";
    QTest::newRow("phi-3") << "phi-3"
                           << "phi-3";
    QTest::newRow("falcon") << "falcon-tokenizer"
                            << "falcon";
}

void TokenizerTest::agreesWithRecordedIds()
{
    QFETCH(QString, folder);
    QFETCH(QString, vectors);
    const auto file = fixture("tokenizers/" + folder.toStdString() + "/tokenizer.json");
    const std::string stem =
        "tokenizers/vocab-vectors/ggml-vocab-" + vectors.toStdString() + ".gguf";
    const auto inputs = fixture(stem + ".inp");
    const auto outputs = fixture(stem + ".out");
    if (!file || !inputs || !outputs) {
        QSKIP("no fixtures: set BITSMITH_FIXTURES");
    }
    const Tokenizer tokenizer = Tokenizer::from_file(*file);
    const std::vector<std::string> texts =
        split_text(read_fixture(*inputs), "\n__ggml_vocab_test__\n");
    const std::vector<std::string> lines = split_text(read_fixture(*outputs), "\n");
    QVERIFY(texts.size() > 20 && lines.size() >= texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
        std::istringstream line(lines[i]);
        const std::vector<int32_t> expected{std::istream_iterator<int32_t>(line), {}};
        QVERIFY2(tokenizer.encode(texts[i], false) == expected,
            qPrintable(QString("text %1: %2").arg(i).arg(QString::fromStdString(texts[i]))));
    }
}

void TokenizerTest::endsOnLongRuns_data()
{
    QTest::addColumn<QString>("folder");
    QTest::addColumn<QString>("piece");
    QTest::newRow("toy, letters") << ""
                                  << "a";
    QTest::newRow("gpt2, letters") << "gpt2"
                                   << "a";
    QTest::newRow("gpt2, spaces before a letter") << "gpt2"
                                                  << " ";
    QTest::newRow("phi-3, spaces") << "phi-3"
                                   << " ";
    QTest::newRow("falcon, digits") << "falcon-tokenizer"
                                    << "1";
}

void TokenizerTest::endsOnLongRuns()
{
    QFETCH(QString, folder);
    QFETCH(QString, piece);
    const auto file = fixture("tokenizers/" + folder.toStdString() + "/tokenizer.json");
    if (!folder.isEmpty() && !file) {
        QSKIP("no fixtures: set BITSMITH_FIXTURES");
    }
    const Tokenizer tokenizer = folder.isEmpty()
        ? Tokenizer::from_json(toy_tokenizer_json(), "toy.json")
        : Tokenizer::from_file(*file);
    const std::string text(1U << 20, piece.front().toLatin1());
    QVERIFY(!tokenizer.encode(text + "x", false).empty());
}

void TokenizerTest::endsOnAPathologicalExpression()
{
    // Exponential in the number of x: the expression's own limit ends it.
    const Tokenizer tokenizer = Tokenizer::from_json(
        replaced(toy_tokenizer_json(), "\"pre_tokenizer\": null",
            R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?:(?!z)x+)+y"}, "behavior": "Isolated", "invert": false})"),
        "toy.json");
    QCOMPARE(tokenizer.encode(std::string(64, 'x'), false).size(), std::size_t{64});
}

BITSMITH_TEST(TokenizerTest)

#include "tokenizer_test.moc"
