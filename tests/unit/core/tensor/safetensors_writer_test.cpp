// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json_io.h"
#include "support/expect_error.h"
#include "support/faulty_disk.h"
#include "support/temp_folder.h"
#include "support/test_main.h"
#include "tensor/dtype.h"
#include "tensor/safetensors_reader.h"
#include "tensor/safetensors_writer.h"

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::tensor;

namespace {

using Named = std::vector<std::pair<std::string, at::Tensor>>;

Named some_tensors()
{
    return {{"model.a.weight", at::arange(12, at::kFloat).view({3, 4})},
        {"model.a.bias", at::tensor({1, 2, 3}, at::kByte)},
        {"model.b.weight", at::arange(8, at::kFloat).view({2, 4}).to(at::kBFloat16)},
        {"model.scalar", at::scalar_tensor(2.5, at::kDouble)},
        {"model.none", at::empty({0, 7}, at::kHalf)}, {"größe \"q\"", at::ones({1}, at::kLong)}};
}

std::vector<TensorEntry> entries_of(const Named& tensors)
{
    std::vector<TensorEntry> entries;
    for (const auto& [name, tensor] : tensors) {
        entries.push_back(entry_for(name, tensor.sizes().vec(), tensor.scalar_type()));
    }
    return entries;
}

std::vector<std::filesystem::path> write_shards(
    FileSystem& fs, const std::filesystem::path& folder, const Named& tensors, int64_t limit)
{
    ShardedWriter writer(fs, folder, entries_of(tensors), limit);
    for (const auto& [name, tensor] : tensors) {
        writer.write(name, tensor);
    }
    return writer.finish();
}

} // namespace

class SafetensorsWriterTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesWhatTheReaderReads();
    void padsTheHeaderAndNamesTheFormat();
    void writesTransposedTensorsInOrder();
    void writesEveryElementType();
    void refusesTensorsThatAreNotAsDeclared();
    void publishesOrLeavesTheOldFile();
    void writesOneFileWithoutAnIndexWhenItFits();
    void splitsIntoShardsWithAnIndex();
    void keepsTheTensorsOfAModuleTogether();
    void failsOnAnUnfinishedCheckpoint();
    void givesTheSameBytesTwice();
};

void SafetensorsWriterTest::writesWhatTheReaderReads()
{
    const TempFolder temp;
    const Named tensors = some_tensors();
    publish_safetensors(disk(), temp / "m.safetensors", tensors, {{"note", "a \"b\""}});
    const SafetensorsReader reader(map_file(temp / "m.safetensors"));
    QCOMPARE(reader.entries().size(), tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        QCOMPARE(reader.entries()[i].name, tensors[i].first);
        const at::Tensor read = reader.load(tensors[i].first);
        QCOMPARE(read.scalar_type(), tensors[i].second.scalar_type());
        QVERIFY(at::equal(read, tensors[i].second));
    }
    QCOMPARE(reader.metadata().at("note"), std::string("a \"b\""));
}

void SafetensorsWriterTest::padsTheHeaderAndNamesTheFormat()
{
    const TempFolder temp;
    for (const char* name : {"a", "ab", "abc", "abcd", "abcde"}) {
        publish_safetensors(disk(), temp / "m", {{name, at::ones({2})}});
        const auto source = map_file(temp / "m");
        QCOMPARE(std::to_integer<int>(source->bytes()[0]) % 8, 0);
        QCOMPARE(SafetensorsReader(source).metadata().at("format"), std::string("pt"));
    }
}

void SafetensorsWriterTest::writesTransposedTensorsInOrder()
{
    const TempFolder temp;
    const at::Tensor tensor = at::arange(6, at::kFloat).view({2, 3}).t();
    publish_safetensors(disk(), temp / "m", {{"t", tensor}});
    QVERIFY(at::equal(SafetensorsReader(map_file(temp / "m")).load("t"), tensor));
}

void SafetensorsWriterTest::writesEveryElementType()
{
    const TempFolder temp;
    Named tensors;
    for (const std::string& word : safetensors_words()) {
        const c10::ScalarType type = *scalar_type_from(word);
        const auto size = static_cast<int64_t>(c10::elementSize(type));
        tensors.emplace_back(word, at::arange(4 * size, at::kByte).remainder(2).view(type));
    }
    publish_safetensors(disk(), temp / "m", tensors);
    const SafetensorsReader reader(map_file(temp / "m"));
    for (const auto& [name, tensor] : tensors) {
        QCOMPARE(reader.find(name)->dtype, name);
        QVERIFY(at::equal(reader.load(name).view(at::kByte), tensor.view(at::kByte)));
    }
}

void SafetensorsWriterTest::refusesTensorsThatAreNotAsDeclared()
{
    const TempFolder temp;
    const std::vector<TensorEntry> entries = {entry_for("a", {2}, at::kFloat)};
    SafetensorsFileWriter writer(disk(), temp / "m", entries);
    EXPECT_ERROR(Internal, EXPECT_WORDS({"[3]", "[2]"}), writer.write("a", at::ones({3})));
    EXPECT_ERROR(Internal, EXPECT_WORDS({"BF16"}), writer.write("a", at::ones({2}, at::kBFloat16)));
    EXPECT_ERROR(Internal, EXPECT_WORDS({"b"}), writer.write("b", at::ones({2})));
    EXPECT_ERROR(Internal, EXPECT_WORDS({"not written"}), writer.finish());
    EXPECT_ERROR(Internal, EXPECT_WORDS({}),
        SafetensorsFileWriter(disk(), temp / "m", {entries[0], entries[0]}));
    EXPECT_ERROR(Internal, EXPECT_WORDS({}), entry_for("c", {1}, at::kComplexFloat));
}

void SafetensorsWriterTest::publishesOrLeavesTheOldFile()
{
    const TempFolder temp;
    const auto file = temp / "m.safetensors";
    FaultyDisk counting;
    publish_safetensors(counting, file, {{"old", at::ones({4})}});
    for (int64_t i = 0; i < counting.operations(); ++i) {
        FaultyDisk faulty(i, FaultyDisk::Fault::ShortWrite);
        EXPECT_ERROR(WriteFailed, EXPECT_WORDS({}),
            publish_safetensors(faulty, file, {{"new", at::ones({4})}}));
        QVERIFY(SafetensorsReader(map_file(file)).find("old") != nullptr);
    }
    const std::filesystem::directory_iterator all(temp.path());
    QCOMPARE(std::distance(begin(all), end(all)), std::ptrdiff_t{1});
}

void SafetensorsWriterTest::writesOneFileWithoutAnIndexWhenItFits()
{
    const TempFolder temp;
    const auto files = write_shards(disk(), temp.path(), some_tensors(), 1000);
    QCOMPARE(files, (std::vector<std::filesystem::path>{temp / "model.safetensors"}));
    QCOMPARE(SafetensorsReader(map_file(files[0])).entries().size(), some_tensors().size());
}

void SafetensorsWriterTest::splitsIntoShardsWithAnIndex()
{
    const TempFolder temp;
    const Named tensors = some_tensors(); // modules of 51, 16, 8 + 0 and 8 bytes
    const auto files = write_shards(disk(), temp.path(), tensors, 60);
    QCOMPARE(files.size(), std::size_t{3});
    QCOMPARE(files[0].filename().string(), std::string("model-00001-of-00002.safetensors"));
    QCOMPARE(files[2].filename().string(), std::string("model.safetensors.index.json"));
    const Json index = read_json_file(files[2]);
    QCOMPARE(index["metadata"]["total_size"].get<int64_t>(), int64_t{83});
    QCOMPARE(index["weight_map"].size(), tensors.size());
    for (const auto& [name, shard] : index["weight_map"].items()) {
        const SafetensorsReader reader(map_file(temp / shard.get<std::string>()));
        QVERIFY(reader.find(name) != nullptr);
    }
}

void SafetensorsWriterTest::keepsTheTensorsOfAModuleTogether()
{
    const TempFolder temp;
    Named tensors;
    for (const char* module : {"m.0", "m.1", "m.2"}) {
        for (const char* part : {".qweight", ".qzeros", ".scales"}) {
            tensors.emplace_back(std::string(module) + part, at::ones({10}, at::kByte));
        }
    }
    // Two modules of 30 bytes do not fit; a module larger than the limit has a shard of its own.
    for (const int64_t limit : {45, 5}) {
        write_shards(disk(), temp.path(), tensors, limit);
        const Json index = read_json_file(temp / "model.safetensors.index.json");
        for (const char* module : {"m.0", "m.1", "m.2"}) {
            const Json& map = index["weight_map"];
            const std::string first = map[std::string(module) + ".qweight"];
            QCOMPARE(map[std::string(module) + ".qzeros"].get<std::string>(), first);
            QCOMPARE(map[std::string(module) + ".scales"].get<std::string>(), first);
        }
        QVERIFY(std::filesystem::exists(temp / "model-00003-of-00003.safetensors"));
    }
}

void SafetensorsWriterTest::failsOnAnUnfinishedCheckpoint()
{
    const TempFolder temp;
    const Named tensors = some_tensors();
    ShardedWriter writer(disk(), temp.path(), entries_of(tensors), 60);
    writer.write(tensors[0].first, tensors[0].second);
    EXPECT_ERROR(Internal, EXPECT_WORDS({"model.a.bias"}), writer.finish());
    QVERIFY(!std::filesystem::exists(temp / "model.safetensors.index.json"));
}

void SafetensorsWriterTest::givesTheSameBytesTwice()
{
    const TempFolder temp;
    publish_safetensors(disk(), temp / "a", some_tensors());
    publish_safetensors(disk(), temp / "b", some_tensors());
    QCOMPARE(sha256_file(temp / "a"), sha256_file(temp / "b"));
}

BITSMITH_TEST(SafetensorsWriterTest)
#include "safetensors_writer_test.moc"
