// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/gguf_builder.h"
#include "support/test_main.h"
#include "tensor/gguf_reader.h"

#include <bitsmith/error.h>

#include <QtTest>

#include <functional>

using namespace bitsmith;
using namespace bitsmith::tensor;
using test::append;
using test::Bytes;
using test::GgufBuilder;

namespace {

/// Whole text of the error that reading ends in; "no error" otherwise.
std::string error_of(Bytes bytes)
{
    try {
        const GgufReader reader(memory_source(std::move(bytes), "test.gguf"));
    } catch (const Error& error) {
        return error.code() == ErrorCode::FileCorrupt ? error.what()
                                                      : "wrong code: " + std::string(error.what());
    }
    return "no error";
}

/// The field that the error names; the error's text when it is not one of a corrupt file.
std::string damaged_field(Bytes bytes)
{
    try {
        const GgufReader reader(memory_source(std::move(bytes), "test.gguf"));
    } catch (const Error& error) {
        for (const auto& [key, value] : error.context()) {
            if (error.code() == ErrorCode::FileCorrupt && key == "field") {
                return value;
            }
        }
        return error.what();
    }
    return "no error";
}

GgufBuilder small_file()
{
    GgufBuilder builder;
    builder.text("general.architecture", "llama").u32("llama.block_count", 2);
    builder.floats("a.weight", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
    builder.floats("b.weight", {4}, {9, 10, 11, 12});
    return builder;
}

template <class T>
Bytes value(uint32_t type, T payload)
{
    Bytes bytes;
    append(bytes, type);
    append(bytes, payload);
    return bytes;
}

Bytes array_start(uint32_t element, uint64_t count)
{
    Bytes bytes;
    append(bytes, uint32_t{9});
    append(bytes, element);
    append(bytes, count);
    return bytes;
}

} // namespace

class GgufReaderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsTheWorkedExampleOfTheSpecification();
    void readsEveryKindOfValue();
    void keepsTheShortestSpellingOfFloats();
    void namesTheFieldThatIsDamaged_data();
    void namesTheFieldThatIsDamaged();
    void saysWhatAForeignFileIs_data();
    void saysWhatAForeignFileIs();
    void refusesEveryTruncation();
    void survivesEveryFlippedByte();
    void refusesValuesOfAnotherKind();
};

void GgufReaderTest::readsTheWorkedExampleOfTheSpecification()
{
    GgufBuilder builder;
    builder.text("general.architecture", "llama");
    builder.floats("output_norm.weight", {4}, {1, 2, 3, 4});
    const Bytes bytes = builder.bytes();
    QCOMPARE(bytes.size(), std::size_t{160});
    const GgufReader reader(memory_source(bytes, "test.gguf"));
    QCOMPARE(reader.metadata().text("general.architecture").value(), std::string("llama"));
    QCOMPARE(reader.tensors().size(), std::size_t{1});
    const GgufTensor& tensor = reader.tensors().front();
    QCOMPARE(tensor.begin, std::size_t{128});
    QCOMPARE(tensor.bytes, std::size_t{16});
    QCOMPARE(tensor.shape, std::vector<int64_t>{4});
    float last = 0;
    std::memcpy(&last, reader.data(tensor).data() + 12, sizeof last);
    QCOMPARE(last, 4.0F);
}

void GgufReaderTest::readsEveryKindOfValue()
{
    GgufBuilder builder;
    builder.scalar("u8", 0, uint8_t{200}).scalar("i8", 1, int8_t{-5});
    builder.scalar("u16", 2, uint16_t{60000}).scalar("i16", 3, int16_t{-300});
    builder.u32("u32", 4000000000U).scalar("i32", 5, int32_t{-7}).f32("f32", 0.5F);
    builder.flag("bool", true).text("text", "h\u00e9").scalar("u64", 10, uint64_t{1} << 40U);
    builder.scalar("i64", 11, int64_t{-1}).scalar("f64", 12, 0.1);
    builder.texts("texts", {"", "two"}).array<int32_t>("ints", 5, {1, -2});
    builder.array<float>("floats", 6, {0.25F}).array<uint32_t>("same", 4, {8, 8, 8});
    const GgufReader reader(builder.source());
    const GgufMetadata& metadata = reader.metadata();
    QCOMPARE(metadata.integer("u8").value(), int64_t{200});
    QCOMPARE(metadata.integer("i8").value(), int64_t{-5});
    QCOMPARE(metadata.integer("u16").value(), int64_t{60000});
    QCOMPARE(metadata.integer("i16").value(), int64_t{-300});
    QCOMPARE(metadata.integer("u32").value(), int64_t{4000000000});
    QCOMPARE(metadata.integer("i32").value(), int64_t{-7});
    QCOMPARE(metadata.number("f32").value(), 0.5);
    QCOMPARE(metadata.flag("bool").value(), true);
    QCOMPARE(metadata.text("text").value(), std::string("h\u00e9"));
    QCOMPARE(metadata.integer("u64").value(), int64_t{1} << 40);
    QCOMPARE(metadata.integer("i64").value(), int64_t{-1});
    QCOMPARE(metadata.number("f64").value(), 0.1);
    QCOMPARE(metadata.texts("texts").value(), (std::vector<std::string_view>{"", "two"}));
    QCOMPARE(metadata.integers("ints").value(), (std::vector<int64_t>{1, -2}));
    QCOMPARE(metadata.numbers("floats").value(), std::vector<double>{0.25});
    QCOMPARE(metadata.integer("same").value(), int64_t{8});
    QVERIFY(!metadata.integer("absent"));
}

void GgufReaderTest::keepsTheShortestSpellingOfFloats()
{
    GgufBuilder builder;
    builder.f32("eps", 1e-5F);
    QCOMPARE(GgufReader(builder.source()).metadata().number("eps").value(), 1e-5);
}

void GgufReaderTest::namesTheFieldThatIsDamaged_data()
{
    QTest::addColumn<QByteArray>("field");
    QTest::addColumn<std::function<Bytes()>>("make");
    const auto add = [](const char* row, const char* field, std::function<Bytes()> make) {
        QTest::newRow(row) << QByteArray(field) << std::move(make);
    };
    const auto with = [](const std::function<void(GgufBuilder&)>& change) {
        return [change] {
            GgufBuilder builder = small_file();
            change(builder);
            return builder.bytes();
        };
    };
    const auto patched = [](std::size_t offset, uint64_t number, std::size_t width) {
        return [=] {
            Bytes bytes = small_file().bytes();
            std::memcpy(bytes.data() + offset, &number, width);
            return bytes;
        };
    };
    add("version 1", "version", with([](GgufBuilder& b) { b.version = 1; }));
    add("version of the future", "version", with([](GgufBuilder& b) { b.version = 4; }));
    add("big-endian", "version", with([](GgufBuilder& b) { b.version = 0x03000000; }));
    add("more tensors than bytes", "n_tensors", patched(8, uint64_t{1} << 40U, 8));
    add("tensor count that wraps", "n_tensors", patched(8, ~uint64_t{0}, 8));
    add("more keys than bytes", "n_kv", patched(16, uint64_t{1} << 40U, 8));
    add("negative key count", "n_kv", patched(16, ~uint64_t{0}, 8));
    add("key longer than the file", "key 1 of 2", patched(24, uint64_t{1} << 50U, 8));
    add("key length that wraps", "key 1 of 2", patched(24, ~uint64_t{0}, 8));
    add("empty key", "key 1 of 2", patched(24, 0, 8));
    add("unknown value type", "general.architecture", patched(52, 13, 4));
    add("string longer than the file", "general.architecture", patched(56, uint64_t{1} << 60U, 8));
    add("key twice", "llama.block_count",
        with([](GgufBuilder& b) { b.u32("llama.block_count", 3); }));
    add("key with a blank", "key 3 of 3", with([](GgufBuilder& b) { b.u32("a b", 3); }));
    add("bool of 2", "flag", with([](GgufBuilder& b) { b.scalar("flag", 7, uint8_t{2}); }));
    add("bool of 2 in an array", "flags", with([](GgufBuilder& b) {
        b.array<uint8_t>("flags", 7, {0, 2});
    }));
    add("array of arrays", "list", with([](GgufBuilder& b) { b.raw("list", array_start(9, 1)); }));
    add("array of an unknown type", "list",
        with([](GgufBuilder& b) { b.raw("list", array_start(77, 1)); }));
    add("array longer than the file", "list",
        with([](GgufBuilder& b) { b.raw("list", array_start(4, uint64_t{1} << 61U)); }));
    add("array of strings longer than the file", "list",
        with([](GgufBuilder& b) { b.raw("list", array_start(8, uint64_t{1} << 61U)); }));
    add("alignment of 0", "general.alignment",
        with([](GgufBuilder& b) { b.u32("general.alignment", 0); }));
    add("alignment of 24", "general.alignment",
        with([](GgufBuilder& b) { b.u32("general.alignment", 24); }));
    add("alignment that is text", "general.alignment",
        with([](GgufBuilder& b) { b.text("general.alignment", "32"); }));
    add("alignment beyond the offsets", "b.weight.offset",
        with([](GgufBuilder& b) { b.u32("general.alignment", 1U << 31U); }));
    add("tensor twice", "a.weight", with([](GgufBuilder& b) {
        b.floats("a.weight", {4}, {1, 2, 3, 4});
    }));
    add("tensor without a name", "tensor 3 of 3", with([](GgufBuilder& b) {
        b.floats("", {4}, {1, 2, 3, 4});
    }));
    add("control character in a name", "tensor 3 of 3", with([](GgufBuilder& b) {
        b.floats("c\x07", {4}, {1, 2, 3, 4});
    }));
    add("tensor name of 64 bytes", "tensor 3 of 3", with([](GgufBuilder& b) {
        b.floats(std::string(64, 'x'), {4}, {1, 2, 3, 4});
    }));
    add("no dimensions", "c.n_dims", with([](GgufBuilder& b) { b.floats("c", {}, {1}); }));
    add("five dimensions", "c.n_dims", with([](GgufBuilder& b) {
        b.floats("c", {1, 1, 1, 1, 1}, {1});
    }));
    add("empty dimension", "c.ne", with([](GgufBuilder& b) { b.floats("c", {4, 0}, {}); }));
    add("elements overflow", "c.ne", with([](GgufBuilder& b) {
        b.floats("c", {uint64_t{1} << 40U, uint64_t{1} << 40U}, {1});
    }));
    add("bytes overflow", "c.ne",
        with([](GgufBuilder& b) { b.floats("c", {uint64_t{1} << 62U}, {1}); }));
    add("retired type", "c.type", with([](GgufBuilder& b) { b.tensor("c", {32}, 4, Bytes(20)); }));
    // formats.md 6.12: ik_llama.cpp's own types, which llama.cpp does not read either.
    add("type of a fork", "c.type",
        with([](GgufBuilder& b) { b.tensor("c", {32}, 137, Bytes(20)); }));
    add("row of half a block", "c.ne",
        with([](GgufBuilder& b) { b.tensor("c", {48}, 3, Bytes(30)); }));
    // formats.md 6.12: such rows of a K type abort loading.
    add("row of half a super-block", "c.ne",
        with([](GgufBuilder& b) { b.tensor("c", {128}, 12, Bytes(72)); }));
    add("stored size below the type's", "c.offset",
        with([](GgufBuilder& b) { b.tensor("c", {4096}, 0, Bytes(64)); }));
}

void GgufReaderTest::namesTheFieldThatIsDamaged()
{
    QFETCH(QByteArray, field);
    QFETCH(std::function<Bytes()>, make);
    QCOMPARE(QByteArray::fromStdString(damaged_field(make())), field);
}

void GgufReaderTest::saysWhatAForeignFileIs_data()
{
    QTest::addColumn<QByteArray>("content");
    QTest::addColumn<QByteArray>("word");
    QTest::newRow("pointer") << QByteArray("version https://git-lfs.github.com/spec/v1\noid")
                             << QByteArray("LFS");
    QTest::newRow("page") << QByteArray("<!DOCTYPE html><html>") << QByteArray("HTML");
    QTest::newRow("archive") << QByteArray("PK\x03\x04 data.pkl") << QByteArray("zip");
    QTest::newRow("old ggml") << QByteArray("tjgg\x03\0\0\0", 8) << QByteArray("before GGUF");
    QTest::newRow("safetensors") << QByteArray("\x20\0\0\0\0\0\0\0{\"a\"", 12)
                                 << QByteArray("safetensors");
    QTest::newRow("one byte") << QByteArray("G") << QByteArray("magic");
    QTest::newRow("noise") << QByteArray("\x01\x02\x03\x04\x05") << QByteArray("magic");
}

void GgufReaderTest::saysWhatAForeignFileIs()
{
    QFETCH(QByteArray, content);
    QFETCH(QByteArray, word);
    const auto* begin = reinterpret_cast<const std::byte*>(content.constData());
    const std::string text = error_of(Bytes(begin, begin + content.size()));
    QVERIFY2(text.find(word.toStdString()) != std::string::npos, text.c_str());
}

void GgufReaderTest::refusesEveryTruncation()
{
    const Bytes whole = small_file().bytes();
    // The padding behind the last tensor may be missing; everything before may not.
    const std::size_t needed = whole.size() - 16;
    QCOMPARE(error_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(needed))),
        std::string("no error"));
    for (std::size_t size = 1; size < needed; ++size) {
        const std::string text =
            error_of(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
        QVERIFY2(text.find("test.gguf") != std::string::npos, text.c_str());
    }
}

void GgufReaderTest::survivesEveryFlippedByte()
{
    GgufBuilder builder = small_file();
    builder.texts("tokens", {"a", "bc"}).array<float>("scores", 6, {1, 2});
    const Bytes whole = builder.bytes();
    int n_refused = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
            Bytes damaged = whole;
            damaged[at] ^= static_cast<std::byte>(flip);
            const std::string text = error_of(std::move(damaged));
            QVERIFY2(!text.starts_with("wrong code"), text.c_str());
            n_refused += text == "no error" ? 0 : 1;
        }
    }
    QVERIFY(n_refused > 300); // lengths, types, counts and offsets
}

void GgufReaderTest::refusesValuesOfAnotherKind()
{
    GgufBuilder builder;
    builder.text("word", "x").u32("count", 5).array<int32_t>("varying", 5, {1, 2});
    builder.scalar("huge", 10, ~uint64_t{0});
    const GgufReader reader(builder.source());
    const GgufMetadata& metadata = reader.metadata();
    QVERIFY_EXCEPTION_THROWN(metadata.integer("word"), Error);
    QVERIFY_EXCEPTION_THROWN(metadata.text("count"), Error);
    QVERIFY_EXCEPTION_THROWN(metadata.flag("count"), Error);
    QVERIFY_EXCEPTION_THROWN(metadata.texts("varying"), Error);
    QVERIFY_EXCEPTION_THROWN(metadata.integer("varying"), Error);
    QVERIFY_EXCEPTION_THROWN(metadata.integer("huge"), Error);
}

BITSMITH_TEST(GgufReaderTest)
#include "gguf_reader_test.moc"
