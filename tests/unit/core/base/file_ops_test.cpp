// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/file_ops.h"
#include "base/sha256.h"
#include "support/expect_error.h"
#include "support/faulty_disk.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;

class FileOpsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void mapsAWholeFile();
    void refusesToMapWhatIsNoFile();
    void noticesThatAMappedFileChanged();
    void keepsTheBytesOfARenamedOverFile();
    void publishesNewContentInOneStep();
    void keepsTheOldContentAtEveryFault_data();
    void keepsTheOldContentAtEveryFault();
    void appendsToAFile();
    void namesTheFileThatCannotBeWritten();
    void limitsTextFiles();
    void judgesFileNames_data();
    void judgesFileNames();
    void hashesLikeTheStandard();
    void hashesInPiecesLikeAtOnce();
    void findsFreeSpaceOfAFolderToCome();
};

void FileOpsTest::mapsAWholeFile()
{
    const TempFolder temp;
    const auto file = temp.write("a", "hello");
    const auto source = map_file(file);
    QCOMPARE(source->bytes().size(), std::size_t{5});
    QCOMPARE(std::to_integer<char>(source->bytes()[4]), 'o');
    QCOMPARE(source->name(), file.string());
    source->check_unchanged();
}

void FileOpsTest::refusesToMapWhatIsNoFile()
{
    const TempFolder temp;
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"nothing-here"}), map_file(temp / "nothing-here"));
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"folder"}), map_file(temp.path()));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"empty"}), map_file(temp.write("e", "")));
}

void FileOpsTest::noticesThatAMappedFileChanged()
{
    const TempFolder temp;
    const auto file = temp.write("a", "hello");
    const auto source = map_file(file);
    temp.write("a", "hello, longer");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"changed", file.string()}), source->check_unchanged());
    std::filesystem::remove(file);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"vanished"}), source->check_unchanged());
}

void FileOpsTest::keepsTheBytesOfARenamedOverFile()
{
    const TempFolder temp;
    const auto file = temp.write("a", "old content");
    const auto source = map_file(file);
    publish_file(disk(), file, "new");
    QCOMPARE(std::to_integer<char>(source->bytes()[0]), 'o');
    QCOMPARE(read_text_file(file), std::string("new"));
}

void FileOpsTest::publishesNewContentInOneStep()
{
    const TempFolder temp;
    publish_file(disk(), temp / "a", "one");
    publish_file(disk(), temp / "a", "two");
    QCOMPARE(read_text_file(temp / "a"), std::string("two"));
    const std::filesystem::directory_iterator all(temp.path());
    QCOMPARE(std::distance(begin(all), end(all)), std::ptrdiff_t{1});
}

void FileOpsTest::keepsTheOldContentAtEveryFault_data()
{
    QTest::addColumn<int>("fault");
    QTest::newRow("disk full") << static_cast<int>(FaultyDisk::Fault::NoSpace);
    QTest::newRow("device error") << static_cast<int>(FaultyDisk::Fault::IoError);
    QTest::newRow("short write") << static_cast<int>(FaultyDisk::Fault::ShortWrite);
}

void FileOpsTest::keepsTheOldContentAtEveryFault()
{
    QFETCH(int, fault);
    const TempFolder temp;
    FaultyDisk counting;
    publish_file(counting, temp / "a", "old");
    QVERIFY(counting.operations() >= 4); // create, write, finish, rename
    for (int64_t i = 0; i < counting.operations(); ++i) {
        FaultyDisk faulty(i, static_cast<FaultyDisk::Fault>(fault));
        EXPECT_ERROR(WriteFailed, EXPECT_WORDS({temp.path().string()}),
            publish_file(faulty, temp / "a", "new content"));
        QCOMPARE(read_text_file(temp / "a"), std::string("old"));
        const std::filesystem::directory_iterator all(temp.path());
        QCOMPARE(std::distance(begin(all), end(all)), std::ptrdiff_t{1});
    }
}

void FileOpsTest::appendsToAFile()
{
    const TempFolder temp;
    for (const char* text : {"one\n", "two\n"}) {
        const auto sink = disk().append(temp / "log");
        sink->write(std::as_bytes(std::span(text, 4)));
        sink->finish();
    }
    QCOMPARE(read_text_file(temp / "log"), std::string("one\ntwo\n"));
    QCOMPARE(disk().append(temp / "log")->size(), int64_t{8});
}

void FileOpsTest::namesTheFileThatCannotBeWritten()
{
    const TempFolder temp;
    const auto file = temp / "no/such/folder/a";
    EXPECT_ERROR(WriteFailed, EXPECT_WORDS({file.string(), "No such file"}), disk().create(file));
    temp.write("b", "");
    EXPECT_ERROR(WriteFailed, EXPECT_WORDS({"folder"}), disk().create_folders(temp / "b"));
}

void FileOpsTest::limitsTextFiles()
{
    const TempFolder temp;
    const auto file = temp.write("a", "0123456789");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"too large", "10 B"}), read_text_file(file, 9));
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({}), read_text_file(temp / "none"));
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({}), read_text_file(temp.path()));
}

void FileOpsTest::judgesFileNames_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<bool>("safe");
    QTest::newRow("shard") << "model-00001-of-00002.safetensors" << true;
    QTest::newRow("two dots inside") << "a..b" << true;
    QTest::newRow("umlaut") << "größe.txt" << true;
    QTest::newRow("word that begins like a device") << "console.txt" << true;
    QTest::newRow("empty") << "" << false;
    QTest::newRow("parent") << ".." << false;
    QTest::newRow("slash") << "a/b" << false;
    QTest::newRow("absolute") << "/etc/passwd" << false;
    QTest::newRow("backslash") << "a\\b" << false;
    QTest::newRow("drive letter") << "C:a" << false;
    QTest::newRow("stream") << "model.safetensors:hidden" << false;
    QTest::newRow("device") << "CON" << false;
    QTest::newRow("device with ending") << "nul.safetensors" << false;
    QTest::newRow("numbered device") << "LPT1.bin" << false;
    QTest::newRow("line break") << "a\nb" << false;
    QTest::newRow("trailing dot") << "a." << false;
    QTest::newRow("trailing blank") << "a " << false;
    QTest::newRow("too long") << QString(300, QLatin1Char('a')) << false;
}

void FileOpsTest::judgesFileNames()
{
    QFETCH(QString, name);
    QFETCH(bool, safe);
    QCOMPARE(is_safe_file_name(name.toStdString()), safe);
}

void FileOpsTest::hashesLikeTheStandard()
{
    const auto hash = [](std::string_view text) {
        return sha256(std::as_bytes(std::span(text.data(), text.size())));
    };
    // Examples of FIPS 180-4.
    QCOMPARE(
        hash(""), std::string("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    QCOMPARE(hash("abc"),
        std::string("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    QCOMPARE(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
        std::string("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
    QCOMPARE(hash(std::string(1000000, 'a')),
        std::string("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

void FileOpsTest::hashesInPiecesLikeAtOnce()
{
    const TempFolder temp;
    std::string text;
    for (int i = 0; i < 500; ++i) {
        text += static_cast<char>('a' + i % 23);
        const std::string whole = sha256(std::as_bytes(std::span(text.data(), text.size())));
        for (const bool plain : {false, true}) {
            Sha256 pieces(plain);
            pieces.update(std::string_view(text).substr(0, text.size() / 3));
            pieces.update(std::string_view(text).substr(text.size() / 3));
            QCOMPARE(pieces.finish(), whole);
        }
    }
    QCOMPARE(sha256_file(temp.write("a", text)),
        sha256(std::as_bytes(std::span(text.data(), text.size()))));
    QCOMPARE(sha256_file(temp.write("e", "")), sha256({}));
}

void FileOpsTest::findsFreeSpaceOfAFolderToCome()
{
    const TempFolder temp;
    QVERIFY(free_disk_bytes(temp / "not/yet/there") > 0);
}

BITSMITH_TEST(FileOpsTest)
#include "file_ops_test.moc"
