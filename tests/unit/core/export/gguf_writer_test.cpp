// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/gguf/writer.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"
#include "support/test_main.h"
#include "tensor/gguf_reader.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using tensor::GgufType;

class GgufWriterTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesTheWorkedExampleOfTheFormat();
    void readsBackEveryKindOfField();
    void refusesRowsThatAreNotWholeBlocks();
    void refusesNamesThatLlamaCppCannotHold();
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

    const tensor::GgufReader reader(map_file(folder / "a.gguf"));
    const tensor::GgufMetadata& metadata = reader.metadata();
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

BITSMITH_TEST(GgufWriterTest)
#include "gguf_writer_test.moc"
