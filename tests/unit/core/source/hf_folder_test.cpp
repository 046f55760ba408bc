// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text.h"
#include "source/hf_folder.h"
#include "source/hub_snapshot.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::source;

namespace {

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFirst = "model-00001-of-00004.safetensors";
constexpr const char* kSecond = "model-00002-of-00004.safetensors";

/// The tiny model in four shards.
TinyModelShape sharded()
{
    TinyModelShape shape;
    shape.max_shard_bytes = 80'000;
    return shape;
}

bool warns(const std::vector<std::string>& warnings, const std::string& words)
{
    return std::any_of(warnings.begin(), warnings.end(),
        [&](const std::string& text) { return text.find(words) != std::string::npos; });
}

void edit_index(const TempFolder& temp, const std::function<void(Json&)>& edit)
{
    Json index = read_json_file(temp / kIndex);
    edit(index);
    temp.write(kIndex, index.dump());
}

} // namespace

class HfFolderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void opensASingleFile();
    void opensShardsLikeASingleFile();
    void identifiesTheContent();
    void namesWhatIsMissing();
    void refusesABrokenConfig_data();
    void refusesABrokenConfig();
    void refusesAHugeConfigUnread();
    void acceptsAConfigWithAByteOrderMark();
    void refusesPickledWeights();
    void refusesFoldersThatCannotBeListed();
    void refusesUnsafeShardNames_data();
    void refusesUnsafeShardNames();
    void refusesLinksThatLeadOutside();
    void refusesEveryFileThatLinksOutside_data();
    void refusesEveryFileThatLinksOutside();
    void acceptsTheHubsCacheLayout();
    void findsAShardOfAnotherDownload();
    void listsAllMissingShardsAtOnce();
    void refusesATensorListedInTheWrongShard();
    void refusesATensorStoredInNone();
    void refusesATensorStoredInTwoShards();
    void warnsOfFilesThatTheIndexDoesNotName();
    void warnsOfTensorsThatTheIndexDoesNotList();
    void warnsOfAWrongTotalSize();
    void refusesAnIndexWithoutAMap_data();
    void refusesAnIndexWithoutAMap();
    void namesTheDamagedShard();
    void noticesAChangeDuringTheRun();
    void takesSideFilesAlong();
    void leavesWeightsAndUnsafeFilesBehind();
    void warnsOfLinksThatLeadNowhere();
    void findsTheTokenizersKind();
    void findsTheChatTemplate();
};

void HfFolderTest::opensASingleFile()
{
    const TinyCheckpoint tiny;
    const HfFolder folder = open_hf_folder(tiny.temp.path());
    QCOMPARE(folder.config["model_type"].get<std::string>(), std::string("llama"));
    QCOMPARE(folder.weights.tensors->entries().size(), std::size_t{21});
    QCOMPARE(folder.weights.files.size(), std::size_t{1});
    QCOMPARE(folder.warnings, std::vector<std::string>());
}

void HfFolderTest::opensShardsLikeASingleFile()
{
    const TinyCheckpoint one;
    const TinyCheckpoint many(sharded());
    const HfFolder whole = open_hf_folder(one.temp.path());
    const HfFolder folder = open_hf_folder(many.temp.path());
    QCOMPARE(folder.weights.files.size(), std::size_t{4});
    QCOMPARE(folder.warnings, std::vector<std::string>());
    for (const tensor::TensorEntry& entry : whole.weights.tensors->entries()) {
        QVERIFY(folder.weights.tensors->find(entry.name) != nullptr);
        QVERIFY(at::equal(
            folder.weights.tensors->load(entry.name), whole.weights.tensors->load(entry.name)));
        QVERIFY(at::equal(folder.weights.tensors->load_at(entry.name, 1),
            whole.weights.tensors->load(entry.name)[1]));
    }
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"nothing"}), folder.weights.tensors->load("nothing"));
}

void HfFolderTest::identifiesTheContent()
{
    const TinyCheckpoint a, b;
    const std::string fingerprint = open_hf_folder(a.temp.path()).fingerprint;
    QCOMPARE(fingerprint.size(), std::size_t{64});
    QCOMPARE(open_hf_folder(b.temp.path()).fingerprint, fingerprint);
    b.edit_tensors([](auto& tensors) { tensors[5].second.add_(0.5); });
    QVERIFY(open_hf_folder(b.temp.path()).fingerprint != fingerprint);
    a.edit_config([](Json& config) { config["rope_theta"] = 5000.0; });
    QVERIFY(open_hf_folder(a.temp.path()).fingerprint != fingerprint);
}

void HfFolderTest::namesWhatIsMissing()
{
    const TinyCheckpoint tiny;
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"no-such"}), open_hf_folder(tiny.temp / "no-such"));
    std::filesystem::remove(tiny.temp / "model.safetensors");
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"model.safetensors", kIndex}),
        open_hf_folder(tiny.temp.path()));
    std::filesystem::remove(tiny.temp / "config.json");
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"config.json"}), open_hf_folder(tiny.temp.path()));
    std::filesystem::create_directory(tiny.temp / "config.json");
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"config.json"}), open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::refusesABrokenConfig_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QString>("word");
    QTest::newRow("empty") << QByteArray("") << "empty";
    QTest::newRow("not JSON") << QByteArray("model_type: llama") << "line: 1";
    QTest::newRow("a list") << QByteArray("[]") << "not an object";
    QTest::newRow("duplicate keys") << QByteArray(R"({"a":1,"a":2})") << "duplicate";
    QTest::newRow("NaN") << QByteArray(R"({"rope_theta": NaN})") << "NaN";
    QTest::newRow("trailing garbage") << QByteArray("{} x") << "line: 1";
    QTest::newRow("UTF-16") << QByteArray("\xFF\xFE{\0}\0", 6) << "UTF-16";
    QTest::newRow("deep nesting") << QByteArray(100000, '[') << "deeper than 64";
}

void HfFolderTest::refusesABrokenConfig()
{
    QFETCH(QByteArray, text);
    QFETCH(QString, word);
    const TinyCheckpoint tiny;
    tiny.temp.write("config.json", text.toStdString());
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"config.json", word.toStdString()}),
        open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::refusesPickledWeights()
{
    const TinyCheckpoint tiny;
    std::filesystem::rename(tiny.temp / "model.safetensors", tiny.temp / "pytorch_model.bin");
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"pickled", "pytorch_model.bin", "safetensors"}),
        open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::refusesFoldersThatCannotBeListed()
{
    const TempFolder temp;
    const auto reason = [](std::errc code) { return std::make_error_code(code).message(); };
    EXPECT_ERROR(FileNotFound,
        EXPECT_WORDS({"cannot be listed", (temp / "nothing").string(),
            reason(std::errc::no_such_file_or_directory)}),
        open_hf_weights(temp / "nothing"));
    const auto file = temp.write("file", "text");
    EXPECT_ERROR(FileNotFound,
        EXPECT_WORDS({"cannot be listed", file.string(), reason(std::errc::not_a_directory)}),
        open_hf_weights(file));
}

void HfFolderTest::refusesUnsafeShardNames_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"/etc/passwd", "../other/model.safetensors", "sub/model.safetensors",
             "..\\model.safetensors", "C:model.safetensors", "CON.safetensors",
             "model.safetensors:stream", "a\nb.safetensors", ""}) {
        QTest::newRow(name) << name;
    }
}

void HfFolderTest::refusesUnsafeShardNames()
{
    QFETCH(QString, name);
    const TinyCheckpoint tiny(sharded());
    edit_index(tiny.temp,
        [&](Json& index) { index["weight_map"]["lm_head.weight"] = name.toStdString(); });
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"unsafe", kIndex}), open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::refusesLinksThatLeadOutside()
{
    const TinyCheckpoint tiny;
    const TempFolder elsewhere;
    const auto target = elsewhere / "model.safetensors";
    std::filesystem::rename(tiny.temp / "model.safetensors", target);
    std::filesystem::create_symlink(target, tiny.temp / "model.safetensors");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"outside", "model.safetensors"}),
        open_hf_folder(tiny.temp.path()));
    std::filesystem::remove(target);
    EXPECT_ERROR(
        FileNotFound, EXPECT_WORDS({"model.safetensors"}), open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::acceptsTheHubsCacheLayout()
{
    const TempFolder cache;
    const auto snapshot = cache / "models--org--name/snapshots/abc";
    const auto blobs = cache / "models--org--name/blobs";
    std::filesystem::create_directories(snapshot);
    std::filesystem::create_directories(blobs);
    const TinyCheckpoint tiny;
    for (const auto& entry : std::filesystem::directory_iterator(tiny.temp.path())) {
        const std::string name = entry.path().filename().string();
        std::filesystem::copy(entry.path(), blobs / ("hash-" + name));
        std::filesystem::create_symlink("../../blobs/hash-" + name, snapshot / name);
    }
    const HfFolder folder = open_hf_folder(snapshot);
    QCOMPARE(folder.weights.tensors->entries().size(), std::size_t{21});
    QCOMPARE(folder.warnings, std::vector<std::string>());
    // The same link from a folder of another name is a link that leads outside.
    std::filesystem::rename(
        cache / "models--org--name/snapshots", cache / "models--org--name/other");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"outside"}),
        open_hf_folder(cache / "models--org--name/other/abc"));
}

void HfFolderTest::findsAShardOfAnotherDownload()
{
    const TempFolder cache;
    const auto snapshot = cache / "models--org--name/snapshots/abc";
    const auto blobs = cache / "models--org--name/blobs";
    std::filesystem::create_directories(snapshot);
    std::filesystem::create_directories(blobs);
    const TinyCheckpoint tiny;
    const auto weights = tiny.temp / "model.safetensors";
    const std::string hash = sha256_file(weights);
    std::filesystem::copy(weights, blobs / hash);
    std::filesystem::create_symlink("../../blobs/" + hash, snapshot / "model.safetensors");
    QCOMPARE(verify_export(snapshot, {}), std::vector<std::string>());
    QCOMPARE(source::hub_repository(snapshot), std::string("org/name"));
    QCOMPARE(source::hub_repository(blobs), std::string());

    source::TinyModelShape other;
    other.seed = 7;
    const TinyCheckpoint download(other); // same shapes, another content
    std::filesystem::copy(download.temp / "model.safetensors", blobs / hash,
        std::filesystem::copy_options::overwrite_existing);
    const std::vector<std::string> findings = verify_export(snapshot, {});
    QCOMPARE(findings.size(), std::size_t{1});
    QVERIFY(findings[0].starts_with("model.safetensors: SHA-256 is "));

    std::filesystem::remove(snapshot / "model.safetensors");
    QVERIFY(verify_export(snapshot, {})[0].ends_with("nothing was compared"));
}

void HfFolderTest::listsAllMissingShardsAtOnce()
{
    const TinyCheckpoint tiny(sharded());
    std::filesystem::remove(tiny.temp / kFirst);
    std::filesystem::remove(tiny.temp / kSecond);
    EXPECT_ERROR(
        FileNotFound, EXPECT_WORDS({"2 of 4", kFirst, kSecond}), open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::refusesATensorListedInTheWrongShard()
{
    const TinyCheckpoint tiny(sharded());
    edit_index(tiny.temp, [&](Json& index) { index["weight_map"]["lm_head.weight"] = kFirst; });
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"lm_head.weight", "listed in", "stored in"}),
        open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::refusesATensorStoredInNone()
{
    const TinyCheckpoint tiny(sharded());
    edit_index(tiny.temp, [&](Json& index) { index["weight_map"]["model.extra"] = kFirst; });
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"model.extra", "stored in none"}),
        open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::refusesATensorStoredInTwoShards()
{
    const TinyCheckpoint tiny(sharded());
    const auto last = tiny.temp / "model-00004-of-00004.safetensors";
    const tensor::SafetensorsReader reader(map_file(last));
    std::vector<std::pair<std::string, at::Tensor>> tensors = {
        {"model.embed_tokens.weight", at::zeros({2, 2})}};
    for (const tensor::TensorEntry& entry : reader.entries()) {
        tensors.emplace_back(entry.name, reader.load(entry.name));
    }
    tensor::publish_safetensors(disk(), last, tensors);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"model.embed_tokens.weight", "stored in"}),
        open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::warnsOfFilesThatTheIndexDoesNotName()
{
    const TinyCheckpoint tiny(sharded());
    tensor::publish_safetensors(disk(), tiny.temp / "model.safetensors", {{"x", at::ones({1})}});
    const HfFolder folder = open_hf_folder(tiny.temp.path());
    QVERIFY(warns(folder.warnings, "ignored: model.safetensors"));
    QVERIFY(folder.weights.tensors->find("x") == nullptr);
}

void HfFolderTest::warnsOfTensorsThatTheIndexDoesNotList()
{
    const TinyCheckpoint tiny(sharded());
    edit_index(tiny.temp, [&](Json& index) {
        index["weight_map"].erase("lm_head.weight");
        index["metadata"].erase("total_size");
    });
    const HfFolder folder = open_hf_folder(tiny.temp.path());
    QVERIFY(warns(folder.warnings, "lm_head.weight"));
    QVERIFY(folder.weights.tensors->find("lm_head.weight") == nullptr);
}

void HfFolderTest::warnsOfAWrongTotalSize()
{
    const TinyCheckpoint tiny(sharded());
    edit_index(tiny.temp, [&](Json& index) { index["metadata"]["total_size"] = 7; });
    QVERIFY(warns(open_hf_folder(tiny.temp.path()).warnings, "total_size of the index is 7"));
    for (const char* size : {"18446744073709551615", "-1", "0.5"}) {
        edit_index(
            tiny.temp, [&](Json& index) { index["metadata"]["total_size"] = Json::parse(size); });
        QVERIFY2(warns(open_hf_folder(tiny.temp.path()).warnings,
                     concat("total_size of the index is ", size, ", the tensors have ")),
            size);
    }
}

void HfFolderTest::refusesAnIndexWithoutAMap_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("no map") << QByteArray("{}");
    QTest::newRow("empty map") << QByteArray(R"({"weight_map":{}})");
    QTest::newRow("map is a list") << QByteArray(R"({"weight_map":["a"]})");
    QTest::newRow("value is a number") << QByteArray(R"({"weight_map":{"a":1}})");
    QTest::newRow("pickled shard") << QByteArray(R"({"weight_map":{"a":"pytorch_model.bin"}})");
    QTest::newRow("list") << QByteArray("[]");
    QTest::newRow("duplicate tensor")
        << QByteArray(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})");
}

void HfFolderTest::refusesAnIndexWithoutAMap()
{
    QFETCH(QByteArray, text);
    const TinyCheckpoint tiny(sharded());
    tiny.temp.write(kIndex, text.toStdString());
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({kIndex}), open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::namesTheDamagedShard()
{
    const TinyCheckpoint tiny(sharded());
    const std::string whole = read_text_file(tiny.temp / kSecond);
    tiny.temp.write(kSecond, whole.substr(0, whole.size() - 1));
    EXPECT_ERROR(
        FileCorrupt, EXPECT_WORDS({kSecond, "truncated"}), open_hf_folder(tiny.temp.path()));
    tiny.temp.write(kSecond, "version https://git-lfs.github.com/spec/v1\n");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({kSecond, "LFS"}), open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::noticesAChangeDuringTheRun()
{
    const TinyCheckpoint tiny(sharded());
    const HfFolder folder = open_hf_folder(tiny.temp.path());
    folder.weights.tensors->check_unchanged();
    std::filesystem::last_write_time(
        tiny.temp / kSecond, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({kSecond}), folder.weights.tensors->check_unchanged());
}

void HfFolderTest::takesSideFilesAlong()
{
    const TinyCheckpoint tiny;
    tiny.temp.write("LICENSE", "text");
    tiny.temp.write("modeling_x.py", "code");
    tiny.temp.write("additional_chat_templates/rag.jinja", "{{ x }}");
    const HfFolder folder = open_hf_folder(tiny.temp.path());
    std::vector<std::string> names;
    for (const SideFile& file : folder.side_files) {
        names.push_back(file.name);
    }
    QCOMPARE(names,
        (std::vector<std::string>{"LICENSE", "additional_chat_templates/rag.jinja",
            "generation_config.json", "modeling_x.py", "special_tokens_map.json", "tokenizer.json",
            "tokenizer_config.json"}));
    QCOMPARE(folder.side_files[0].bytes, std::string("text"));
}

// formats.md 5.10: llm-compressor's recipe.yaml is read by nobody, and tells of the source.
void HfFolderTest::leavesWeightsAndUnsafeFilesBehind()
{
    const TinyCheckpoint tiny;
    for (const char* name :
        {"pytorch_model.bin", "consolidated.00.pth", ".gitattributes", "hf_quant_config.json",
            "recipe.yaml", "bitsmith.json", "x.gguf", "original/params.json"}) {
        tiny.temp.write(name, "x");
    }
    tiny.temp.write("bad|name.txt", "x");
    std::filesystem::resize_file(tiny.temp.write("huge.txt", "x"), 80 << 20);
    std::vector<std::string> warnings;
    const std::vector<SideFile> files = read_side_files(tiny.temp.path(), warnings);
    QCOMPARE(files.size(), std::size_t{4});
    QCOMPARE(warnings.size(), std::size_t{2});
    QVERIFY(warns(warnings, "bad|name.txt"));
    QVERIFY(warns(warnings, "huge.txt"));
}

void HfFolderTest::warnsOfLinksThatLeadNowhere()
{
    const TinyCheckpoint tiny;
    std::filesystem::create_symlink("../../blobs/gone", tiny.temp / "vocab.json");
    std::filesystem::create_symlink("gone.bin", tiny.temp / "pytorch_model.bin"); // nobody's loss
    const HfFolder folder = open_hf_folder(tiny.temp.path());
    QCOMPARE(folder.warnings.size(), std::size_t{1});
    QVERIFY(warns(folder.warnings, "'vocab.json' is not taken along: what it links to is missing"));
}

void HfFolderTest::findsTheTokenizersKind()
{
    const TinyCheckpoint tiny;
    QCOMPARE(tokenizer_kind(open_hf_folder(tiny.temp.path()).side_files), std::string("BPE"));
    const auto kind = [](const char* name, const char* text) {
        return tokenizer_kind({{name, text}});
    };
    QCOMPARE(
        kind("tokenizer.json", R"({"x":{"type":"A"},"model":{"a":{"type":"B"},"type":"Unigram"}})"),
        std::string("Unigram"));
    QCOMPARE(kind("tokenizer.json", R"({"model":{"vocab":{}}})"), std::string("BPE"));
    QCOMPARE(kind("tokenizer.json", "{broken"), std::string("unreadable"));
    QCOMPARE(kind("tokenizer.model", ""), std::string("SentencePiece"));
    QCOMPARE(kind("README.md", ""), std::string());
}

void HfFolderTest::findsTheChatTemplate()
{
    QVERIFY(has_chat_template({{"tokenizer_config.json", R"({"chat_template":"x"})"}}));
    QVERIFY(!has_chat_template({{"tokenizer_config.json", R"({"chat_template":null})"}}));
    QVERIFY(!has_chat_template({{"tokenizer_config.json", "{}"}}));
    QVERIFY(has_chat_template({{"chat_template.jinja", "x"}}));
    QVERIFY(!has_chat_template({}));
}

void HfFolderTest::refusesAHugeConfigUnread()
{
    const TinyCheckpoint tiny;
    std::filesystem::resize_file(tiny.temp / "config.json", std::uintmax_t{300} << 20);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"config.json", "too large", "300.0 MiB"}),
        open_hf_folder(tiny.temp.path()));
}

void HfFolderTest::acceptsAConfigWithAByteOrderMark()
{
    const TinyCheckpoint tiny;
    const std::string text = read_text_file(tiny.temp / "config.json");
    tiny.temp.write("config.json", "\xEF\xBB\xBF" + text);
    QCOMPARE(open_hf_folder(tiny.temp.path()).config["hidden_size"].get<int>(), 64);
}

void HfFolderTest::refusesEveryFileThatLinksOutside_data()
{
    QTest::addColumn<QString>("name");
    for (const char* name : {"config.json", "tokenizer.json", kIndex, kFirst}) {
        QTest::newRow(name) << name;
    }
}

void HfFolderTest::refusesEveryFileThatLinksOutside()
{
    QFETCH(QString, name);
    const std::string file = name.toStdString();
    const TinyCheckpoint tiny(sharded());
    const TempFolder elsewhere;
    std::filesystem::rename(tiny.temp / file, elsewhere / file);
    std::filesystem::create_symlink(elsewhere / file, tiny.temp / file);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"outside", file}), open_hf_folder(tiny.temp.path()));
}

BITSMITH_TEST(HfFolderTest)
#include "hf_folder_test.moc"
