// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "support/test_main.h"
#include "tensor/gguf_reader.h"
#include "tensor/gguf_writer.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tensor;

class GgufWriterTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesTheWorkedExampleOfTheFormat();
    void readsBackEveryKindOfField();
    void refusesRowsThatAreNotWholeBlocks();
    void refusesNamesThatLlamaCppCannotHold();
    void putsTensorsWhereTheNextOneFits_data();
    void putsTensorsWhereTheNextOneFits();
    void refusesMorePartsThanCanBeCounted();
    void writesPartsThatSayWhatTheyAre();
    void leavesASmallModelWhole();
};

namespace {

std::string text_of(const std::filesystem::path& file)
{
    return read_text_file(file);
}

} // namespace

// formats.md 6.1: 69 bytes of header and pair, 50 of tensor info, data at 128, 160 in all.
void GgufWriterTest::writesTheWorkedExampleOfTheFormat()
{
    const TempFolder folder;
    GgufFields fields;
    fields.set("general.architecture", std::string("llama"));
    const std::vector<float> values = {1, 2, 3, 4};
    GgufWriter writer(
        disk(), folder / "a.gguf", fields, {{"output_norm.weight", {4}, GgufType::F32}});
    writer.write("output_norm.weight", std::as_bytes(std::span(values)));
    writer.finish();

    const std::string bytes = text_of(folder / "a.gguf");
    QCOMPARE(bytes.size(), std::size_t(160));
    const std::string head(
        "GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0\0\0\0\0", 32);
    QCOMPARE(bytes.substr(0, 32), head);
    QCOMPARE(bytes.substr(32, 20), std::string("general.architecture"));
    QCOMPARE(bytes.substr(52, 17), std::string("\x08\0\0\0\x05\0\0\0\0\0\0\0llama", 17));
    QCOMPARE(bytes.substr(77, 18), std::string("output_norm.weight"));
    QCOMPARE(bytes.substr(119, 9), std::string(9, '\0'));
    QCOMPARE(bytes.substr(128, 4), std::string("\0\0\x80\x3f", 4));
    QCOMPARE(bytes.substr(144, 16), std::string(16, '\0'));
}

void GgufWriterTest::readsBackEveryKindOfField()
{
    const TempFolder folder;
    GgufFields fields;
    fields.set("general.architecture", std::string("llama"));
    fields.set("a.count", uint32_t{7});
    fields.set("a.count", uint32_t{8});
    fields.set("a.number", 0.5F);
    fields.set("a.flag", true);
    fields.set("a.texts", std::vector<std::string>{"x", "", "\u2581z"});
    fields.set("a.types", std::vector<int32_t>{1, -3});
    fields.set("a.scores", std::vector<float>{-0.25F});
    GgufWriter writer(disk(), folder / "a.gguf", fields,
        {{"one", {3, 32}, GgufType::Q8_0}, {"two", {5}, GgufType::F32}});
    writer.write("one", std::vector<std::byte>(3 * 34, std::byte{1}));
    writer.write("two", std::vector<std::byte>(20, std::byte{2}));
    writer.finish();

    const GgufReader reader(map_file(folder / "a.gguf"));
    const GgufMetadata& metadata = reader.metadata();
    QCOMPARE(metadata.integer("a.count"), std::optional<int64_t>(8));
    QCOMPARE(metadata.number("a.number"), std::optional<double>(0.5));
    QCOMPARE(metadata.flag("a.flag"), std::optional<bool>(true));
    QCOMPARE((*metadata.texts("a.texts"))[2], std::string_view("\u2581z"));
    QCOMPARE(*metadata.integers("a.types"), (std::vector<int64_t>{1, -3}));
    QCOMPARE(*metadata.numbers("a.scores"), std::vector<double>{-0.25});
    QCOMPARE(reader.tensors().size(), std::size_t(2));
    QCOMPARE(reader.tensors()[0].shape, (std::vector<int64_t>{3, 32}));
    QCOMPARE(reader.tensors()[1].begin % 32, std::size_t(0));
    QCOMPARE(reader.data(reader.tensors()[1])[19], std::byte{2});
}

void GgufWriterTest::refusesRowsThatAreNotWholeBlocks()
{
    const GgufTensorHeader tensor{"blk.0.attn_q.weight", {4, 48}, GgufType::Q4_0};
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"attn_q", "48", "multiples of 32"}), tensor.bytes());
}

void GgufWriterTest::refusesNamesThatLlamaCppCannotHold()
{
    EXPECT_ERROR(Internal, EXPECT_WORDS({"xxx"}),
        gguf_header(GgufFields(), {{std::string(64, 'x'), {4}, GgufType::F32}}));
}

void GgufWriterTest::putsTensorsWhereTheNextOneFits_data()
{
    QTest::addColumn<int64_t>("max_bytes");
    QTest::addColumn<QList<int>>("sizes"); // of the parts, for tensors of 64, 20 (padded: 32), 200
    QTest::newRow("all in one") << int64_t{64 + 32 + 224} << QList<int>{3};
    QTest::newRow("one byte less") << int64_t{64 + 32 + 223} << QList<int>{2, 1};
    QTest::newRow("the small ones together") << int64_t{96} << QList<int>{2, 1};
    QTest::newRow("padding counts") << int64_t{95} << QList<int>{1, 1, 1};
    QTest::newRow("each too large") << int64_t{1} << QList<int>{1, 1, 1};
}

void GgufWriterTest::putsTensorsWhereTheNextOneFits()
{
    QFETCH(int64_t, max_bytes);
    const std::vector<GgufTensorHeader> tensors = {{"a", {16}}, {"b", {5}}, {"c", {50}}};
    QList<int> sizes;
    std::vector<std::string> order;
    for (const std::vector<GgufTensorHeader>& part : split_gguf(tensors, max_bytes)) {
        sizes.append(static_cast<int>(part.size()));
        for (const GgufTensorHeader& tensor : part) {
            order.push_back(tensor.name);
        }
    }
    QTEST(sizes, "sizes");
    QCOMPARE(order, (std::vector<std::string>{"a", "b", "c"}));
}

void GgufWriterTest::refusesMorePartsThanCanBeCounted()
{
    const std::vector<GgufTensorHeader> tensors(65536, {"a", {8}});
    EXPECT_ERROR(
        InvalidSpec, EXPECT_WORDS({"max_gguf_gb", "65536", "65535"}), split_gguf(tensors, 32));
}

// formats.md 6.9.
void GgufWriterTest::writesPartsThatSayWhatTheyAre()
{
    const TempFolder folder;
    GgufFields fields;
    fields.set("general.architecture", std::string("llama"));
    const std::vector<GgufTensorHeader> tensors = {{"a", {8}}, {"b", {8}}, {"c", {8}}};
    SplitGgufWriter writer(disk(), folder.path(), "model", fields, tensors, 64);
    for (const GgufTensorHeader& tensor : tensors) {
        writer.write(tensor.name, std::vector<std::byte>(32, std::byte{7}));
    }
    writer.finish();

    const char* names[] = {"model-00001-of-00002.gguf", "model-00002-of-00002.gguf"};
    for (int part = 0; part < 2; ++part) {
        const GgufReader reader(map_file(folder / names[part]));
        const GgufMetadata& metadata = reader.metadata();
        // llama.cpp asks for these types exactly: u16, u16, i32.
        const std::string bytes = text_of(folder / names[part]);
        const auto holds = [&bytes](const std::string& key, const std::string& value) {
            return bytes.find(key + value) != std::string::npos;
        };
        const char number = static_cast<char>(part);
        QVERIFY(holds("split.no", std::string("\x02\0\0\0", 4) + number + '\0'));
        QVERIFY(holds("split.count", std::string("\x02\0\0\0\x02\0", 6)));
        QVERIFY(holds("split.tensors.count", std::string("\x05\0\0\0\x03\0\0\0", 8)));
        QCOMPARE(metadata.contains("general.architecture"), part == 0);
        QCOMPARE(reader.tensors().size(), std::size_t(2 - part));
        QCOMPARE(reader.tensors().back().name, std::string(part == 0 ? "b" : "c"));
        QCOMPARE(reader.data(reader.tensors().back())[31], std::byte{7});
    }
}

void GgufWriterTest::leavesASmallModelWhole()
{
    const TempFolder folder;
    SplitGgufWriter writer(disk(), folder.path(), "model", {}, {{"a", {8}}}, 32);
    writer.write("a", std::vector<std::byte>(32));
    writer.finish();
    const GgufReader reader(map_file(folder / "model.gguf"));
    QVERIFY(!reader.metadata().contains("split.count"));
}

BITSMITH_TEST(GgufWriterTest)
#include "gguf_writer_test.moc"
