// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json_io.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;

class JsonIoTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsEveryKindOfValue();
    void keepsTheOrderOfKeys();
    void agreesWithTheLibrarysOwnParser();
    void acceptsAByteOrderMark();
    void refusesBadText_data();
    void refusesBadText();
    void givesLineAndColumn();
    void refusesDeepNestingWithoutRecursion();
    void refusesTooManyBytesAndValues();
    void readsLargeObjectsInLinearTime();
    void namesTheFile();
};

void JsonIoTest::readsEveryKindOfValue()
{
    const Json json = parse_json(
        R"({"a": [1, -2, 2.5, 18446744073709551615], "b": {"c": null, "d": true}, "e": "ü\n"})",
        "t");
    QCOMPARE(json["a"][0].get<int64_t>(), int64_t{1});
    QCOMPARE(json["a"][1].get<int64_t>(), int64_t{-2});
    QCOMPARE(json["a"][2].get<double>(), 2.5);
    QCOMPARE(json["a"][3].get<uint64_t>(), UINT64_MAX);
    QVERIFY(json["b"]["c"].is_null());
    QCOMPARE(json["b"]["d"].get<bool>(), true);
    QCOMPARE(json["e"].get<std::string>(), std::string("ü\n"));
    QCOMPARE(parse_json("7", "t").get<int>(), 7);
}

void JsonIoTest::keepsTheOrderOfKeys()
{
    QCOMPARE(parse_json(R"({"z":1,"a":{"y":2,"b":3}})", "t").dump(),
        std::string(R"({"z":1,"a":{"y":2,"b":3}})"));
}

void JsonIoTest::agreesWithTheLibrarysOwnParser()
{
    const std::string text =
        R"([[], {}, [[[{"a": [{}, {"b": []}]}]]], "", 0, -0.0, 1e300, {"x": {"y": {"z": [1]}}}])";
    QVERIFY(parse_json(text, "t") == Json::parse(text));
}

void JsonIoTest::acceptsAByteOrderMark()
{
    QCOMPARE(parse_json("\xEF\xBB\xBF{\"a\":1}", "t")["a"].get<int>(), 1);
}

void JsonIoTest::refusesBadText_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QString>("word");
    QTest::newRow("empty") << QByteArray("") << "invalid JSON";
    QTest::newRow("not closed") << QByteArray("{\"a\": 1") << "column 8";
    QTest::newRow("trailing garbage") << QByteArray("{} x") << "column";
    QTest::newRow("second document") << QByteArray("{}{}") << "column";
    QTest::newRow("NaN") << QByteArray("{\"a\": NaN}") << "NaN";
    QTest::newRow("Infinity") << QByteArray("[Infinity]") << "Infinity";
    QTest::newRow("negative Infinity") << QByteArray("[-Infinity]") << "column";
    QTest::newRow("number beyond double") << QByteArray("[1e999]") << "column";
    QTest::newRow("comment") << QByteArray("{} // x") << "column";
    QTest::newRow("single quotes") << QByteArray("{'a': 1}") << "column";
    QTest::newRow("trailing comma") << QByteArray("[1,]") << "column";
    QTest::newRow("raw line break in text") << QByteArray("[\"a\nb\"]") << "column";
    QTest::newRow("invalid UTF-8") << QByteArray("[\"\xC3\x28\"]") << "column";
    QTest::newRow("lone surrogate") << QByteArray("[\"\\ud800\"]") << "column";
    QTest::newRow("duplicate key")
        << QByteArray("{\"a\":1, \"b\":2, \"a\":3}") << "duplicate key \"a\"";
    QTest::newRow("duplicate key by escape")
        << QByteArray("{\"a\":1, \"\\u0061\":3}") << "duplicate";
    QTest::newRow("nested duplicate key")
        << QByteArray("[{\"x\":{\"a\":1,\"a\":1}}]") << "duplicate";
    QTest::newRow("UTF-16 with mark") << QByteArray("\xFF\xFE{\0}\0", 6) << "UTF-16";
    QTest::newRow("UTF-16 without mark") << QByteArray("{\0}\0", 4) << "UTF-16";
}

void JsonIoTest::refusesBadText()
{
    QFETCH(QByteArray, text);
    QFETCH(QString, word);
    const std::string_view view(text.constData(), static_cast<std::size_t>(text.size()));
    const std::string expected =
        word == QLatin1String("column 8") ? "column: 8" : word.toStdString();
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"some.json", "line: ", expected}),
        parse_json(view, "some.json"));
}

void JsonIoTest::givesLineAndColumn()
{
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"line: 3", "column: 8"}),
        parse_json("{\n  \"a\": 1,\n  \"b\": x\n}", "t"));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"line: 2"}), parse_json("{\"a\":1,\n\"a\":2}", "t"));
    // Same key in two objects is no duplicate.
    parse_json(R"([{"a":1},{"a":2}])", "t");
}

void JsonIoTest::refusesDeepNestingWithoutRecursion()
{
    const std::string deep = std::string(100000, '[') + std::string(100000, ']');
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"deeper than 64"}), parse_json(deep, "t"));
    JsonLimits limits;
    limits.depth = 2;
    parse_json("[[1]]", "t", limits);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"deeper"}), parse_json("[[[1]]]", "t", limits));
    // With the limit out of the way the parser itself does not recurse either.
    limits.depth = 1000000;
    QVERIFY(parse_json(deep, "t", limits).is_array());
}

void JsonIoTest::refusesTooManyBytesAndValues()
{
    JsonLimits limits;
    limits.bytes = 10;
    EXPECT_ERROR(
        FileCorrupt, EXPECT_WORDS({"too large"}), parse_json("[1,2,3,4,5,6]", "t", limits));
    limits = {};
    limits.values = 3;
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"more than 3"}), parse_json("[1,2,3]", "t", limits));
    parse_json("[1,2]", "t", limits);
}

void JsonIoTest::readsLargeObjectsInLinearTime()
{
    // The library's own insertion searches the key; for so many members that took minutes.
    std::string text = "{\"k\":0";
    for (int i = 0; i < 200000; ++i) {
        text += ",\"key" + std::to_string(i) + "\":1";
    }
    QCOMPARE(parse_json(text + "}", "t").size(), std::size_t{200001});
}

void JsonIoTest::namesTheFile()
{
    const TempFolder temp;
    const auto file = temp.write("config.json", "{]");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({file.string()}), read_json_file(file));
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"gone.json"}), read_json_file(temp / "gone.json"));
}

BITSMITH_TEST(JsonIoTest)
#include "json_io_test.moc"
