// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_folder.h"
#include "support/test_main.h"
#include "tensor/dtype.h"
#include "tensor/safetensors_reader.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tensor;

namespace {

/// A valid file: "a" F32 [2, 2] = 1..4, "b" U8 [3] = 7 8 9, "s" BF16 [] = 1.5, "z" F32 [0, 4].
const std::string kHeader = R"({"__metadata__":{"format":"pt"},)"
                            R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
                            R"("b":{"dtype":"U8","shape":[3],"data_offsets":[16,19]},)"
                            R"("s":{"dtype":"BF16","shape":[],"data_offsets":[19,21]},)"
                            R"("z":{"dtype":"F32","shape":[0,4],"data_offsets":[21,21]}})";

std::string valid_data()
{
    const float values[] = {1, 2, 3, 4};
    std::string data(reinterpret_cast<const char*>(values), sizeof values);
    return data + "\x07\x08\x09" + std::string("\xC0\x3F", 2);
}

std::string replaced(std::string text, const std::string& what, const std::string& with)
{
    const std::size_t at = text.find(what);
    BITSMITH_ASSERT(at != std::string::npos);
    return text.replace(at, what.size(), with);
}

/// Header for one U8 tensor with 4 bytes of data, its entry given as text.
std::string one_entry(const std::string& name, const std::string& entry)
{
    return safetensors_text("{" + name + ":" + entry + "}", "\1\2\3\4");
}

} // namespace

class SafetensorsReaderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsEntriesValuesAndMetadata();
    void readsUnalignedTensors();
    void ordersEntriesByTheirPlaceInTheFile();
    void refusesAFileThatWasCutShortAfterItWasOpened();
    void readsEveryElementType();
    void readsAFileWithoutTensors();
    void refusesDamagedFiles_data();
    void refusesDamagedFiles();
    void refusesEveryTruncation();
    void survivesEveryFlippedByteOfTheHeader();
    void recognisesWhatIsNotSafetensors_data();
    void recognisesWhatIsNotSafetensors();
    void namesAMissingTensor();
};

void SafetensorsReaderTest::readsEntriesValuesAndMetadata()
{
    const SafetensorsReader reader(bytes_source(safetensors_text(kHeader, valid_data())));
    QCOMPARE(reader.entries().size(), std::size_t{4});
    QCOMPARE(reader.metadata().at("format"), std::string("pt"));
    QCOMPARE(reader.find("a")->bytes, int64_t{16});
    QCOMPARE(reader.find("b")->dtype, std::string("U8"));
    QVERIFY(reader.find("none") == nullptr);
    QVERIFY(at::equal(reader.load("a"), at::tensor({1.F, 2.F, 3.F, 4.F}).view({2, 2})));
    QVERIFY(at::equal(reader.load("b"), at::tensor({7, 8, 9}, at::kByte)));
    QCOMPARE(reader.load("s").dim(), int64_t{0});
    QCOMPARE(reader.load("s").item<float>(), 1.5F);
    QCOMPARE(reader.load("z").sizes().vec(), (std::vector<int64_t>{0, 4}));
    QVERIFY(at::equal(reader.load_at("a", 1), at::tensor({3.F, 4.F})));
    QCOMPARE(reader.load_at("b", 2).item<int64_t>(), int64_t{9});
    std::vector<std::byte> bytes(2);
    reader.read("b", 1, bytes);
    QCOMPARE(bytes, (std::vector<std::byte>{std::byte{8}, std::byte{9}}));
}

void SafetensorsReaderTest::readsUnalignedTensors()
{
    const std::string header = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                               R"("f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
    const float value = 2.5F;
    const std::string data =
        "\x05" + std::string(reinterpret_cast<const char*>(&value), sizeof value);
    const SafetensorsReader reader(bytes_source(safetensors_text(header, data)));
    const at::Tensor tensor = reader.load("f");
    QCOMPARE(tensor.item<float>(), 2.5F);
    QCOMPARE(reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 4, std::uintptr_t{0});
}

void SafetensorsReaderTest::ordersEntriesByTheirPlaceInTheFile()
{
    const std::string header = R"({"second":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},)"
                               R"("first":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
    const SafetensorsReader reader(bytes_source(safetensors_text(header, "\1\2\3\4")));
    QCOMPARE(reader.entries()[0].name, std::string("first"));
    QVERIFY(at::equal(reader.load("second"), at::tensor({3, 4}, at::kByte)));
}

void SafetensorsReaderTest::refusesAFileThatWasCutShortAfterItWasOpened()
{
    const TempFolder temp;
    const std::filesystem::path file = temp.write("m", safetensors_text(kHeader, valid_data()));
    const SafetensorsReader reader(map_file(file));
    std::filesystem::resize_file(file, 10);
    EXPECT_ERROR(
        FileCorrupt, EXPECT_WORDS({file.string(), "the file ends here now"}), reader.load("a"));
    EXPECT_ERROR(
        FileCorrupt, EXPECT_WORDS({"changed while it was in use"}), reader.check_unchanged());
}

void SafetensorsReaderTest::readsEveryElementType()
{
    for (const std::string& word : safetensors_words()) {
        const c10::ScalarType type = *scalar_type_from(word);
        QCOMPARE(std::string(safetensors_word(type)), word);
        const std::size_t size = c10::elementSize(type);
        const std::string header = concat(
            R"({"t":{"dtype":")", word, R"(","shape":[3],"data_offsets":[0,)", 3 * size, "]}}");
        const SafetensorsReader reader(
            bytes_source(safetensors_text(header, std::string(3 * size, '\0'))));
        QCOMPARE(reader.load("t").scalar_type(), type);
        QCOMPARE(reader.load("t").numel(), int64_t{3});
    }
    QVERIFY(!scalar_type_from("F4").has_value());
    QVERIFY(!scalar_type_from("f32").has_value());
}

void SafetensorsReaderTest::readsAFileWithoutTensors()
{
    const SafetensorsReader reader(bytes_source(safetensors_text("{}", "")));
    QVERIFY(reader.entries().empty());
}

void SafetensorsReaderTest::refusesDamagedFiles_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QString>("words");
    const auto row = [](const char* name, const std::string& bytes, const char* words) {
        QTest::newRow(name) << QByteArray(bytes.data(), static_cast<qsizetype>(bytes.size()))
                            << words;
    };
    const auto changed = [](const std::string& what, const std::string& with) {
        return safetensors_text(replaced(kHeader, what, with), valid_data());
    };
    // Row 14 of ahead.md 5.
    row("empty", "", "truncated: expected at least 8 bytes, found 0");
    row("shorter than the length", "\1\0\0", "truncated");
    row("data cut", safetensors_text(kHeader, valid_data().substr(0, 20)),
        "truncated: expected 21");
    row("no data at all", safetensors_text(kHeader, ""), "truncated");
    // Row 15.
    row("header length over the file", std::string("\x40\0\0\0\0\0\0\0{}", 10), "truncated");
    row("header length over the limit", std::string("\0\0\0\0\1\0\0\0{}", 10), "over the limit");
    row("header length of 2^64 - 1", std::string(8, '\xFF') + "{}", "over the limit");
    row("header length 0", std::string(16, '\0'), "does not begin");
    row("header is an array", safetensors_text("[]", ""), "does not begin");
    row("header begins with a blank", safetensors_text(" {}", ""), "does not begin");
    row("header is not JSON", safetensors_text("{\"a\"", ""), "invalid JSON");
    row("header is not UTF-8", safetensors_text("{\"\xFF\":1}", ""), "invalid JSON");
    row("header goes on behind the object", safetensors_text("{}}", ""), "invalid JSON");
    // Row 17.
    row("overlap", changed("[16,19]", "[15,18]"), "overlaps|b");
    row("hole",
        changed("\"shape\":[3],\"data_offsets\":[16,19]", "\"shape\":[2],\"data_offsets\":[17,19]"),
        "hole|b");
    row("first does not begin at 0",
        safetensors_text(R"({"t":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})", "\1\2\3\4"),
        "hole");
    row("begin behind end", changed("[16,19]", "[19,16]"), "data_offsets|b");
    row("out of range", one_entry("\"t\"", R"({"dtype":"U8","shape":[5],"data_offsets":[0,5]})"),
        "truncated");
    row("bytes behind the last tensor", safetensors_text(kHeader, valid_data() + "x"),
        "behind the last tensor");
    row("end of 2^63",
        one_entry("\"t\"", R"({"dtype":"U8","shape":[4],"data_offsets":[0,9223372036854775808]})"),
        "data_offsets");
    row("negative begin", one_entry("\"t\"", R"({"dtype":"U8","shape":[4],"data_offsets":[-1,3]})"),
        "data_offsets");
    row("fractional offset",
        one_entry("\"t\"", R"({"dtype":"U8","shape":[4],"data_offsets":[0.0,4]})"), "data_offsets");
    row("three offsets", one_entry("\"t\"", R"({"dtype":"U8","shape":[4],"data_offsets":[0,4,4]})"),
        "data_offsets");
    row("same bytes twice",
        safetensors_text(R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                         R"("u":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
            "\1\2\3\4"),
        "overlaps");
    // Row 18.
    row("duplicate name", changed("\"b\":{", "\"a\":{"), "duplicate key");
    row("empty name", one_entry("\"\"", R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})"),
        "empty");
    row("control character in a name",
        one_entry("\"a\\u0007\"", R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})"),
        "control characters|\\x07");
    row("zero byte in a name",
        one_entry("\"a\\u0000b\"", R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})"),
        "control");
    // Row 19.
    row("length does not fit the shape", changed("[2,2]", "[2,3]"), "does not fit|expected: 24|a");
    row("shape overflows",
        one_entry(
            "\"t\"", R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]})"),
        "overflows");
    row("shape wraps to the right length",
        one_entry("\"t\"", R"({"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]})"),
        "overflows");
    row("negative size", one_entry("\"t\"", R"({"dtype":"U8","shape":[-4],"data_offsets":[0,4]})"),
        "size of the shape");
    row("fractional size",
        one_entry("\"t\"", R"({"dtype":"U8","shape":[4.0],"data_offsets":[0,4]})"),
        "size of the shape");
    row("size above 2^63",
        one_entry("\"t\"", R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,4]})"),
        "size of the shape");
    row("shape is text", one_entry("\"t\"", R"({"dtype":"U8","shape":"4","data_offsets":[0,4]})"),
        "shape");
    std::string ones = "1";
    for (int i = 0; i < 99; ++i) {
        ones += ",1";
    }
    row("100 dimensions",
        one_entry("\"t\"", R"({"dtype":"U8","shape":[)" + ones + R"(],"data_offsets":[0,1]})"),
        "at most 16");
    // Row 20.
    row("fp4", one_entry("\"t\"", R"({"dtype":"F4","shape":[8],"data_offsets":[0,4]})"), "F4|BF16");
    row("complex", one_entry("\"t\"", R"({"dtype":"C64","shape":[1],"data_offsets":[0,4]})"),
        "C64|BF16");
    row("unknown type", one_entry("\"t\"", R"({"dtype":"X","shape":[4],"data_offsets":[0,4]})"),
        "BF16");
    row("type is a number", one_entry("\"t\"", R"({"dtype":8,"shape":[4],"data_offsets":[0,4]})"),
        "BF16");
    // The rest of formats.md 1.1.
    row("no dtype", one_entry("\"t\"", R"({"shape":[4],"data_offsets":[0,4]})"), "dtype");
    row("no shape", one_entry("\"t\"", R"({"dtype":"U8","data_offsets":[0,4]})"), "shape");
    row("no offsets", one_entry("\"t\"", R"({"dtype":"U8","shape":[4]})"), "data_offsets");
    row("entry is no object", one_entry("\"t\"", "4"), "not an object");
    row("nested metadata", one_entry("\"__metadata__\"", R"({"a":{"b":"c"}})"), "not text");
    row("number in metadata", one_entry("\"__metadata__\"", R"({"a":1})"), "not text");
    row("metadata is text", one_entry("\"__metadata__\"", "\"pt\""), "__metadata__");
    row("deeply nested", one_entry("\"t\"", std::string(1000, '[')), "deeper");
}

void SafetensorsReaderTest::refusesDamagedFiles()
{
    QFETCH(QByteArray, bytes);
    QFETCH(QString, words);
    std::vector<std::string> expected = split(words.toStdString(), '|');
    expected.emplace_back("test.safetensors");
    const std::string_view text(bytes.constData(), static_cast<std::size_t>(bytes.size()));
    EXPECT_ERROR(FileCorrupt, expected, SafetensorsReader(bytes_source(text)));
}

void SafetensorsReaderTest::refusesEveryTruncation()
{
    const std::string whole = safetensors_text(kHeader, valid_data());
    for (std::size_t n = 0; n < whole.size(); ++n) {
        EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"truncated"}),
            SafetensorsReader(bytes_source(whole.substr(0, n))));
    }
}

void SafetensorsReaderTest::survivesEveryFlippedByteOfTheHeader()
{
    const std::string whole = safetensors_text(kHeader, valid_data());
    int accepted = 0;
    for (std::size_t i = 0; i < 8 + kHeader.size(); ++i) {
        for (const char c : {'\0', '0', '9', '"', '{', ']', '\xFF'}) {
            std::string damaged = whole;
            damaged[i] = c;
            try {
                const SafetensorsReader reader(bytes_source(damaged));
                for (const TensorEntry& entry : reader.entries()) {
                    QCOMPARE(static_cast<int64_t>(reader.load(entry.name).nbytes()), entry.bytes);
                }
                ++accepted;
            } catch (const Error& error) {
                QCOMPARE(error.code(), ErrorCode::FileCorrupt);
            }
        }
    }
    QVERIFY(accepted > 0); // names and metadata may hold any letter
}

void SafetensorsReaderTest::recognisesWhatIsNotSafetensors_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QString>("word");
    QTest::newRow("LFS pointer") << QByteArray(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
                                 << "Git LFS pointer";
    QTest::newRow("HTML page") << QByteArray("<!DOCTYPE html><html><body>Log in</body></html>")
                               << "web page";
    QTest::newRow("HTML after blanks")
        << QByteArray("\n\n  <HTML><head></head></HTML>") << "web page";
    QTest::newRow("zip archive") << QByteArray("PK\x03\x04\x14\0\0\0\0\0 model/data.pkl", 25)
                                 << "zip";
    QTest::newRow("pickle") << QByteArray("\x80\x02}q\0(X\5\0\0\0abcde", 16) << "pickle";
    QTest::newRow("GGUF") << QByteArray("GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16) << "GGUF";
    QTest::newRow("gzip") << QByteArray("\x1f\x8b\x08\0\0\0\0\0\0\3", 10) << "gzip";
}

void SafetensorsReaderTest::recognisesWhatIsNotSafetensors()
{
    QFETCH(QByteArray, bytes);
    QFETCH(QString, word);
    const std::string_view text(bytes.constData(), static_cast<std::size_t>(bytes.size()));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"not a safetensors file", word.toStdString()}),
        SafetensorsReader(bytes_source(text)));
}

void SafetensorsReaderTest::namesAMissingTensor()
{
    const SafetensorsReader reader(bytes_source(safetensors_text(kHeader, valid_data())));
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"lm_head.weight"}), reader.load("lm_head.weight"));
}

BITSMITH_TEST(SafetensorsReaderTest)
#include "safetensors_reader_test.moc"
