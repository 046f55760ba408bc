// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/text_source.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <QtTest>

#include <fstream>

using namespace bitsmith;
using namespace bitsmith::calib;

class TextSourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsTextJsonAndJsonLines();
    void readsConversations();
    void refusesBadFiles_data();
    void refusesBadFiles();
    void findsTheFirstBadByte_data();
    void findsTheFirstBadByte();

private:
    std::filesystem::path write(const char* name, const std::string& bytes)
    {
        const std::filesystem::path file =
            std::filesystem::path(folder_.path().toStdString()) / name;
        std::ofstream(file, std::ios::binary) << bytes;
        return file;
    }
    QTemporaryDir folder_;
};

void TextSourceTest::readsTextJsonAndJsonLines()
{
    const auto text = read_documents(write("a.txt", "one\n\ntwo"));
    QCOMPARE(text.size(), std::size_t{1});
    QCOMPARE(text[0].text, std::string("one\n\ntwo"));
    const auto array = read_documents(write("a.json", R"(["one", {"text": "two"}])"));
    QCOMPARE(array.size(), std::size_t{2});
    QCOMPARE(array[1].text, std::string("two"));
    const auto nested = read_documents(write("b.json", R"({"data": [{"content": "three"}]})"));
    QCOMPARE(nested[0].text, std::string("three"));
    const auto lines = read_documents(
        write("a.jsonl", "{\"text\": \"one\"}\n\n{\"prompt\": \"q\", \"response\": \"r\"}\n"));
    QCOMPARE(lines.size(), std::size_t{2});
    QCOMPARE(lines[1].text, std::string("q\nr"));
}

void TextSourceTest::readsConversations()
{
    const auto documents = read_documents(write("c.jsonl",
        R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]})"
        "\n"
        R"({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yes"}]})"));
    QCOMPARE(documents.size(), std::size_t{2});
    QCOMPARE(documents[0].messages.size(), std::size_t{2});
    QCOMPARE(documents[1].messages[0].first, std::string("user"));
    QCOMPARE(documents[1].messages[1].first, std::string("assistant"));
}

void TextSourceTest::refusesBadFiles_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QString>("says");
    QTest::newRow("empty") << "e.txt" << QByteArray("") << "empty";
    QTest::newRow("NUL") << "n.txt" << QByteArray("ab\0c", 4) << "byte offset: 2";
    QTest::newRow("invalid UTF-8") << "u.txt" << QByteArray("abc\xff") << "byte offset: 3";
    QTest::newRow("gzip named txt") << "g.txt" << QByteArray("\x1f\x8b\x08\x00", 4) << "gzip";
    QTest::newRow("broken JSON line")
        << "b.jsonl" << QByteArray("\"a\"\n{\"text\": }\n") << "line 2";
    QTest::newRow("no text field")
        << "f.jsonl" << QByteArray("{\"title\": \"x\", \"n\": 3}") << "'title'";
    QTest::newRow("text is a number") << "t.jsonl" << QByteArray("{\"text\": 3}") << "not text";
    QTest::newRow("empty array") << "a.json" << QByteArray("[]") << "no record";
    QTest::newRow("zip") << "z.txt" << QByteArray("PK\x03\x04rest") << "zip";
    QTest::newRow("zstd") << "s.jsonl"
                          << QByteArray("\x28\xb5\x2f\xfd"
                                        "rest")
                          << "zstd";
    QTest::newRow("parquet") << "p.json" << QByteArray("PAR1rest") << "parquet";
    QTest::newRow("UTF-16") << "w.txt" << QByteArray("\xff\xfeh\0i\0", 6) << "byte offset: 0";
    QTest::newRow("line of a record without text")
        << "l.jsonl" << QByteArray("\"a\"\n\n{\"title\": \"x\"}\n") << "record: line 3";
    QTest::newRow("NUL by escape")
        << "x.jsonl" << QByteArray("\"a\"\n{\"text\": \"b\\u0000c\"}\n") << "line 2";
}

void TextSourceTest::refusesBadFiles()
{
    QFETCH(QString, name);
    QFETCH(QByteArray, bytes);
    QFETCH(QString, says);
    const auto file = write(name.toUtf8().constData(), bytes.toStdString());
    try {
        read_documents(file);
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileCorrupt);
        const QString text = QString::fromStdString(error.what());
        QVERIFY2(text.contains(says), qPrintable(text));
        QVERIFY2(text.contains(name), qPrintable(text));
    }
}

void TextSourceTest::findsTheFirstBadByte_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<int>("at");
    QTest::newRow("ascii") << QByteArray("abc") << -1;
    QTest::newRow("two, three and four bytes")
        << QByteArray("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") << -1;
    QTest::newRow("lone continuation") << QByteArray("a\x80") << 1;
    QTest::newRow("overlong slash") << QByteArray("\xc0\xaf") << 0;
    QTest::newRow("surrogate") << QByteArray("\xed\xa0\x80") << 0;
    QTest::newRow("above the last code point") << QByteArray("\xf4\x90\x80\x80") << 0;
    QTest::newRow("cut off") << QByteArray("ab\xe2\x82") << 2;
}

void TextSourceTest::findsTheFirstBadByte()
{
    QFETCH(QByteArray, bytes);
    QFETCH(int, at);
    QCOMPARE(first_bad_byte(bytes.toStdString()), int64_t{at});
}

BITSMITH_TEST(TextSourceTest)
#include "text_source_test.moc"
