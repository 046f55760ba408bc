// SPDX-License-Identifier: GPL-3.0-or-later
#include "hf/parquet.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::hf;

namespace {

// Written by pyarrow 26 (zstd): columns text, n, messages; four rows, with nulls and empty lists.
const char* const kFile =
    "UEFSMRUAFVIVZCwVCBUAFQYVBhwAAAAotS/9IClJAQACAAAAAwsFAAAAZmlyc3QMAAAAendlaXRlciBUZXh0BgAA"
    "AGxldHp0ZRUAFUwVSiwVCBUAFQYVBhwAAAAotS/9ICblAACgAgAAAAgBAQACAAMABAAAAAAAAAADFAADGHMBFQAV"
    "VhVoLBUKFQAVBhUGHAAAACi1L/0gK1kBAAIAAAADCAQAAAADDAkABAAAAHVzZXIEAAAAdXNlcgkAAABhc3Npc3Rh"
    "bnQVABU8FU4sFQoVABUGFQYcAAAAKLUv/SAe8QAAAgAAAAMIBAAAAAMMCQACAAAAaGkBAAAAYQEAAABiFQQZjDUA"
    "GAZzY2hlbWEVBgAVDCUCGAR0ZXh0JQBMHAAAABUEJQIYAW4ANQIYCG1lc3NhZ2VzFQIVBkw8AAAANQQYBGxpc3QV"
    "AgA1AhgHZWxlbWVudBUEABUMJQIYBHJvbGUlAEwcAAAAFQwlAhgHY29udGVudCUATBwAAAAWCBkcGUwmABwVDBkl"
    "BgAZGAR0ZXh0FQwWCBZ4FooBJghJHBUAFQAVAgA8Fi4ZBhkmAgYAAAAmABwVBBklBgAZGAFuFQwWCBZyFnAmkgFJ"
    "HBUAFQAVAgA8KQYZJgAIAAAAJgAcFQwZJQYAGUgIbWVzc2FnZXMEbGlzdAdlbGVtZW50BHJvbGUVDBYKFnwWjgEm"
    "ggJJHBUAFQAVAgA8FiIZJggCGVYCAgAABgAAACYAHBUMGSUGABlICG1lc3NhZ2VzBGxpc3QHZWxlbWVudAdjb250"
    "ZW50FQwWChZiFnQmkANJHBUAFQAVAgA8FggZJggCGVYCAgAABgAAABbIAxYIJggW/AMAKCBwYXJxdWV0LWNwcC1h"
    "cnJvdyB2ZXJzaW9uIDI2LjAuMRlMHAAAHAAAHAAAHAAAALQBAABQQVIx";

} // namespace

class ParquetTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void listsColumns();
    void readsTextsInBatches();
    void readsNestedColumns();
    void startsAgainAfterSelect();
    void listsTheColumnsWhenOneIsAbsent();
    void refusesAColumnThatIsNotText();
    void endsOnDamagedFiles();
    void namesAnAbsentFile();

private:
    std::string path() const { return m_folder.filePath("data.parquet").toStdString(); }
    void write(const QByteArray& bytes);

    QTemporaryDir m_folder;
};

void ParquetTest::write(const QByteArray& bytes)
{
    QFile file(QString::fromStdString(path()));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(bytes);
}

void ParquetTest::init()
{
    write(QByteArray::fromBase64(kFile));
}

void ParquetTest::listsColumns()
{
    const ParquetFile file = ParquetFile::open(path());
    QCOMPARE(file.rows(), 4);
    QCOMPARE(file.columns().size(), size_t{3});
    QCOMPARE(file.columns()[0].name + " " + file.columns()[0].type, std::string("text string"));
    QCOMPARE(file.columns()[1].type, std::string("integer"));
    QCOMPARE(file.columns()[2].type, std::string("list"));
}

void ParquetTest::readsTextsInBatches()
{
    ParquetFile file = ParquetFile::open(path());
    file.select({"text"});
    QCOMPARE(file.next_texts(3), (std::vector<std::string>{"first", "zweiter Text", ""}));
    QCOMPARE(file.next_texts(3), (std::vector<std::string>{"letzte"}));
    QVERIFY(file.next_texts(3).empty());
}

void ParquetTest::readsNestedColumns()
{
    ParquetFile file = ParquetFile::open(path());
    file.select({"messages", "n"});
    QCOMPARE(
        file.next_json(1), std::string(R"([{"messages":[{"role":"user","content":"hi"}],"n":1}])"));
}

void ParquetTest::startsAgainAfterSelect()
{
    ParquetFile file = ParquetFile::open(path());
    file.select({"text"});
    file.next_texts(4);
    file.select({"text"});
    QCOMPARE(file.next_texts(1), (std::vector<std::string>{"first"}));
}

void ParquetTest::listsTheColumnsWhenOneIsAbsent()
{
    ParquetFile file = ParquetFile::open(path());
    try {
        file.select({"prompt"});
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY(QString::fromUtf8(error.what()).contains("text (string), n (integer)"));
    }
}

void ParquetTest::refusesAColumnThatIsNotText()
{
    ParquetFile file = ParquetFile::open(path());
    file.select({"n"});
    QVERIFY_THROWS_EXCEPTION(Error, file.next_texts(1));
}

void ParquetTest::endsOnDamagedFiles()
{
    const QByteArray good = QByteArray::fromBase64(kFile);
    const auto read_all = [this] {
        ParquetFile file = ParquetFile::open(path());
        file.select({"text", "messages"});
        while (file.next_json(2) != "[]") { }
    };
    for (qsizetype size = 0; size < good.size(); size += 7) {
        write(good.left(size));
        QVERIFY_THROWS_EXCEPTION(Error, read_all());
    }
    // One flipped byte either leaves a readable file or ends in an Error.
    for (qsizetype at = 0; at < good.size(); at += 3) {
        QByteArray bytes = good;
        bytes[at] = static_cast<char>(bytes[at] ^ 0x5a);
        write(bytes);
        try {
            read_all();
        } catch (const Error&) { }
    }
}

void ParquetTest::namesAnAbsentFile()
{
    try {
        ParquetFile::open("absent.parquet");
        QFAIL("no error");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
    }
}

BITSMITH_TEST(ParquetTest)

#include "parquet_test.moc"
