// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/gguf_source.h"
#include "support/expect_error.h"
#include "support/gguf_llama.h"
#include "support/test_main.h"

#include <bitsmith/error.h>

#include <ATen/ATen.h>

#include <QTemporaryDir>
#include <QtTest>

#include <chrono>
#include <filesystem>
#include <fstream>

using namespace bitsmith;
using namespace bitsmith::source;
using test::GgufBuilder;
using test::small_llama;

namespace {

std::string save(const QTemporaryDir& folder, const QString& name, GgufBuilder& builder)
{
    const std::string file = folder.filePath(name).toStdString();
    const test::Bytes bytes = builder.bytes();
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
    return file;
}

} // namespace

class GgufSourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void looksLikeAFolderAfterwards();
    void opensAnyPartOfASplitModel();
    void refusesAPartThatLinksOutside();
    void namesThePartsThatAreMissing();
    void looksForAFewOfVeryManyMissingParts();
    void warnsWhenTheTokenizerIsUnknown();
    void tellsModelsOfOneShapeApart();
    void opensTheDemoModel();
    void noticesAChangeDuringTheRun();
};

void GgufSourceTest::looksLikeAFolderAfterwards()
{
    const QTemporaryDir folder;
    GgufBuilder builder = small_llama();
    const auto model = open_model(save(folder, "small.gguf", builder));
    QCOMPARE(model->kind, std::string("gguf"));
    QCOMPARE(model->family, std::string("llama"));
    QCOMPARE(model->info.blocks, int64_t{1});
    QCOMPARE(model->info.tokenizer, std::string("BPE"));
    QVERIFY(model->info.has_chat_template);
    QVERIFY(model->info.tied_head);
    QCOMPARE(model->info.layers.size(), std::size_t{7});
    QCOMPARE(model->info.quantization, std::string());
    QVERIFY2(model->info.warnings.empty(),
        model->info.warnings.empty() ? "" : model->info.warnings.front().c_str());
    const hf::TextSide text = model->load_text();
    QCOMPARE(text.tokenizer.encode("ab", false), std::vector<int32_t>{2});
    QCOMPARE(text.eos.value(), 3);
}

void GgufSourceTest::opensAnyPartOfASplitModel()
{
    const QTemporaryDir folder;
    GgufBuilder first;
    test::add_llama_metadata(first);
    first.scalar("split.no", 2, uint16_t{0}).scalar("split.count", 2, uint16_t{2});
    test::add_matrix(first, "token_embd.weight", test::kLlamaHidden, test::kLlamaVocab);
    GgufBuilder second;
    second.scalar("split.no", 2, uint16_t{1}).scalar("split.count", 2, uint16_t{2});
    test::add_llama_block(second, "blk.0.");
    test::add_norm(second, "output_norm.weight");
    save(folder, "m-00001-of-00002.gguf", first);
    const std::string named = save(folder, "m-00002-of-00002.gguf", second);
    QCOMPARE(open_model(named)->tensors->entries().size(), std::size_t{11});
}

void GgufSourceTest::refusesAPartThatLinksOutside()
{
    const QTemporaryDir folder, elsewhere;
    GgufBuilder first = small_llama();
    first.scalar("split.no", 2, uint16_t{0}).scalar("split.count", 2, uint16_t{2});
    GgufBuilder second;
    second.scalar("split.no", 2, uint16_t{1}).scalar("split.count", 2, uint16_t{2});
    const std::string named = save(folder, "m-00001-of-00002.gguf", first);
    std::filesystem::create_symlink(save(elsewhere, "secret.gguf", second),
        std::filesystem::path(folder.path().toStdString()) / "m-00002-of-00002.gguf");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"outside", "m-00002-of-00002.gguf"}), open_gguf(named));
}

void GgufSourceTest::namesThePartsThatAreMissing()
{
    const QTemporaryDir folder;
    GgufBuilder builder = small_llama();
    builder.scalar("split.no", 2, uint16_t{0}).scalar("split.count", 2, uint16_t{3});
    const std::string file = save(folder, "m-00001-of-00003.gguf", builder);
    try {
        open_gguf(file);
        QFAIL("opened a part of a model");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
        const std::string text = error.what();
        QVERIFY2(text.find("m-00002-of-00003.gguf, m-00003-of-00003.gguf") != std::string::npos,
            text.c_str());
    }
}

void GgufSourceTest::looksForAFewOfVeryManyMissingParts()
{
    const QTemporaryDir folder;
    GgufBuilder builder = small_llama();
    builder.scalar("split.no", 2, uint16_t{0}).u32("split.count", 99999);
    const std::string file = save(folder, "m-00001-of-99999.gguf", builder);
    EXPECT_ERROR(FileNotFound,
        EXPECT_WORDS({"split.count", "found: 99999", "m-00006-of-99999.gguf, ..."}),
        open_gguf(file));
}

void GgufSourceTest::warnsWhenTheTokenizerIsUnknown()
{
    const QTemporaryDir folder;
    GgufBuilder builder = small_llama({.pre = "nobody-knows"});
    const auto model = open_model(save(folder, "small.gguf", builder));
    QCOMPARE(model->info.warnings.size(), std::size_t{1});
    QVERIFY(model->info.warnings.front().find("nobody-knows") != std::string::npos);
    QVERIFY(model->info.tokenizer.empty());
    QVERIFY_EXCEPTION_THROWN(model->load_text(), Error);
}

void GgufSourceTest::tellsModelsOfOneShapeApart()
{
    const QTemporaryDir folder;
    GgufBuilder first = small_llama();
    GgufBuilder second = small_llama();
    const std::vector<uint64_t> shape = {test::kLlamaHidden, test::kLlamaVocab};
    first.floats("output.weight", shape, std::vector<float>(shape[0] * shape[1], 1.0F));
    second.floats("output.weight", shape, std::vector<float>(shape[0] * shape[1], 2.0F));
    const auto fingerprint = [&](GgufBuilder& builder) {
        return open_gguf(save(folder, "small.gguf", builder))->info.fingerprint;
    };
    const std::string of_first = fingerprint(first);
    QVERIFY(fingerprint(second) != of_first);
    QCOMPARE(fingerprint(first), of_first);
}

void GgufSourceTest::opensTheDemoModel()
{
    const QString file =
        qEnvironmentVariable("BITSMITH_CACHE", QDir::homePath() + "/.cache/bitsmith")
        + "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!QFile::exists(file)) {
        QSKIP("the demo model has not been fetched");
    }
    const auto model = open_model(file.toStdString());
    QCOMPARE(model->info.blocks, int64_t{30});
    QCOMPARE(model->info.quantization, std::string("gguf Q4_1"));
    QCOMPARE(model->info.parameters, int64_t{134515008});
    QCOMPARE(model->config["torch_dtype"].get<std::string>(), std::string("bfloat16"));
    const hf::TextSide text = model->load_text();
    // As llama.cpp encodes it.
    QCOMPARE(text.tokenizer.encode("Hello, world 2024!", false),
        (std::vector<int32_t>{19556, 28, 905, 216, 34, 32, 34, 36, 17}));
    const at::Tensor weight = model->tensors->load("model.layers.0.self_attn.q_proj.weight");
    QCOMPARE(weight.sizes().vec(), (std::vector<int64_t>{576, 576}));
}

void GgufSourceTest::noticesAChangeDuringTheRun()
{
    const QTemporaryDir folder;
    GgufBuilder builder = small_llama();
    const std::string file = save(folder, "small.gguf", builder);
    const auto model = open_model(file);
    model->tensors->check_unchanged();
    std::filesystem::last_write_time(
        file, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
    QVERIFY_EXCEPTION_THROWN(model->tensors->check_unchanged(), Error);
    std::filesystem::remove(file);
    QVERIFY_EXCEPTION_THROWN(model->tensors->check_unchanged(), Error);
}

BITSMITH_TEST(GgufSourceTest)
#include "gguf_source_test.moc"
