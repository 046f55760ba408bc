// SPDX-License-Identifier: GPL-3.0-or-later
#include "calib/imatrix.h"
#include "support/expect_error.h"
#include "support/gguf_builder.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <limits>

using namespace bitsmith;
using namespace bitsmith::calib;
using test::Bytes;
using test::GgufBuilder;

class ImatrixTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsTheGgufForm();
    void readsTheFormWithoutAMagicNumber();
    void namesTheFieldOfABadGguf_data();
    void namesTheFieldOfABadGguf();
    void namesTheFieldOfABadOldFile_data();
    void namesTheFieldOfABadOldFile();
    void refusesEveryTruncationOfAnOldFile();
    void givesEachLayerItsMeanSquares();
    void countsExpertsThatNoTokenReachedAsOnes();
    void splitsOldEntriesAmongExperts();
    void refusesMatricesOfOtherModels();
    void readsBackWhatItWrote();
};

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

void append_text(Bytes& out, const std::string& text)
{
    test::append(out, static_cast<int32_t>(text.size()));
    for (const char c : text) {
        test::append(out, c);
    }
}

void append_entry(Bytes& out, const std::string& name, int32_t calls, std::vector<float> values)
{
    append_text(out, name);
    test::append(out, calls);
    test::append(out, static_cast<int32_t>(values.size()));
    for (const float value : values) {
        test::append(out, value);
    }
}

/// Two weights, then the trailer.
Bytes old_file()
{
    Bytes out;
    test::append(out, int32_t{2});
    append_entry(out, "blk.0.attn_q.weight", 4, {8, 0, 2});
    append_entry(out, "blk.0.ffn_down.weight", 1, {1, 2});
    test::append(out, int32_t{7});
    append_text(out, "text.txt");
    return out;
}

Imatrix read(Bytes bytes)
{
    return read_imatrix(memory_source(std::move(bytes), "test.imatrix"));
}

GgufBuilder gguf_file()
{
    GgufBuilder builder;
    builder.text("general.type", "imatrix").texts("imatrix.datasets", {"a.txt", "b.txt"});
    builder.u32("imatrix.chunk_count", 5).u32("imatrix.chunk_size", 512);
    builder.floats("blk.0.attn_q.weight.in_sum2", {3, 1}, {8, 0, 2});
    builder.floats("blk.0.attn_q.weight.counts", {1, 1}, {4});
    return builder;
}

bool is(const at::Tensor& tensor, std::vector<float> values)
{
    return at::equal(tensor, at::tensor(values));
}

/// A model of one block whose layers have the given widths.
source::ModelSource model_of(
    const std::string& model_type, std::map<std::string, int64_t> columns, int64_t experts = 0)
{
    source::ModelSource model;
    model.path = "/models/tiny";
    model.spec.model_type = model_type;
    model.spec.model_names.block = "model.layers.{i}.";
    model.spec.model_names.embedding = "model.embed_tokens";
    model.info.experts = experts;
    for (const auto& [name, width] : columns) {
        model.info.layers.push_back({"model.layers.0." + name, 0, 8, width, "BF16", 0, true, {}});
    }
    return model;
}

} // namespace

void ImatrixTest::readsTheGgufForm()
{
    GgufBuilder builder = gguf_file();
    // llama.cpp drops outer dimensions of 1.
    builder.floats("blk.0.ffn_up.weight.counts", {1}, {2});
    builder.floats("blk.0.ffn_up.weight.in_sum2", {2}, {3, 5});
    builder.floats("blk.0.ffn_up_exps.weight.in_sum2", {2, 3}, {1, 2, 3, 4, 5, 6});
    builder.floats("blk.0.ffn_up_exps.weight.counts", {1, 3}, {1, 0, 9});
    const Imatrix imatrix = read(builder.bytes());
    QCOMPARE(imatrix.datasets, (std::vector<std::string>{"a.txt", "b.txt"}));
    QCOMPARE(imatrix.chunks, int64_t{5});
    QCOMPARE(imatrix.chunk_tokens, int64_t{512});
    QCOMPARE(imatrix.weights.size(), std::size_t(3));
    QVERIFY(is(imatrix.weights.at("blk.0.attn_q.weight").sums, {8, 0, 2}));
    QVERIFY(is(imatrix.weights.at("blk.0.attn_q.weight").counts, {4}));
    QVERIFY(is(imatrix.weights.at("blk.0.ffn_up.weight").sums, {3, 5}));
    QVERIFY(is(imatrix.weights.at("blk.0.ffn_up_exps.weight").sums, {1, 2, 3, 4, 5, 6}));
    QVERIFY(is(imatrix.weights.at("blk.0.ffn_up_exps.weight").counts, {1, 0, 9}));
}

void ImatrixTest::readsTheFormWithoutAMagicNumber()
{
    Imatrix imatrix = read(old_file());
    QCOMPARE(imatrix.weights.size(), std::size_t(2));
    QVERIFY(is(imatrix.weights.at("blk.0.attn_q.weight").sums, {8, 0, 2}));
    QVERIFY(is(imatrix.weights.at("blk.0.attn_q.weight").counts, {4}));
    QVERIFY(is(imatrix.weights.at("blk.0.ffn_down.weight").sums, {1, 2}));
    QCOMPARE(imatrix.chunks, int64_t{7});
    QCOMPARE(imatrix.datasets, std::vector<std::string>{"text.txt"});
    // The oldest files end with the last entry.
    Bytes bytes = old_file();
    bytes.resize(bytes.size() - 4 - 4 - 8);
    imatrix = read(std::move(bytes));
    QCOMPARE(imatrix.weights.size(), std::size_t(2));
    QVERIFY(imatrix.datasets.empty());
}

void ImatrixTest::namesTheFieldOfABadGguf_data()
{
    QTest::addColumn<Bytes>("bytes");
    QTest::addColumn<std::string>("field");
    const std::string sums = "blk.1.attn_q.weight.in_sum2", counts = "blk.1.attn_q.weight.counts";
    const auto row = [](const char* name, GgufBuilder builder, const std::string& field) {
        QTest::newRow(name) << builder.bytes() << field;
    };
    row("a model", GgufBuilder().text("general.type", "model"), "general.type");
    row("no type", GgufBuilder(), "general.type");
    row("no weights", GgufBuilder().text("general.type", "imatrix"), "tensors");
    row("negative chunks",
        GgufBuilder().text("general.type", "imatrix").scalar("imatrix.chunk_count", 5, int32_t{-1}),
        "imatrix.chunk_count");
    row("negative chunk size",
        GgufBuilder().text("general.type", "imatrix").scalar("imatrix.chunk_size", 5, int32_t{-8}),
        "imatrix.chunk_size");
    row("no counts", gguf_file().floats(sums, {2}, {1, 2}), counts);
    row("no sums", gguf_file().floats(counts, {1}, {1}), sums);
    row("counts that do not divide",
        gguf_file().floats(sums, {3}, {1, 2, 3}).floats(counts, {1, 2}, {1, 1}), counts);
    row("not a number", gguf_file().floats(sums, {2}, {1, kNan}).floats(counts, {1}, {1}),
        sums + "[1]");
    row("infinite", gguf_file().floats(sums, {2}, {kInfinity, 1}).floats(counts, {1}, {1}),
        sums + "[0]");
    row("negative", gguf_file().floats(sums, {2}, {1, -1}).floats(counts, {1}, {1}), sums + "[1]");
    row("negative count", gguf_file().floats(sums, {2}, {1, 1}).floats(counts, {1}, {-1}),
        counts + "[0]");
    row("half precision", gguf_file().tensor(sums, {2}, 1, Bytes(4)).floats(counts, {1}, {1}),
        sums);
}

void ImatrixTest::namesTheFieldOfABadGguf()
{
    QFETCH(Bytes, bytes);
    QFETCH(std::string, field);
    EXPECT_ERROR(
        FileCorrupt, EXPECT_WORDS({std::string("test.imatrix"), field}), read(std::move(bytes)));
}

void ImatrixTest::namesTheFieldOfABadOldFile_data()
{
    QTest::addColumn<Bytes>("bytes");
    QTest::addColumn<std::string>("field");
    const auto entries = [](int32_t count) {
        Bytes out;
        test::append(out, count);
        return out;
    };
    const auto one = [&entries](int32_t calls, const std::vector<float>& values) {
        Bytes out = entries(1);
        append_entry(out, "blk.0.attn_q.weight", calls, values);
        return out;
    };
    QTest::newRow("no entries") << entries(0) << std::string("n_entries");
    QTest::newRow("negative entries") << entries(-1) << std::string("n_entries");
    QTest::newRow("more entries than bytes") << entries(1 << 30) << std::string("n_entries");
    QTest::newRow("not a number") << one(1, {1, kNan}) << std::string("(blk.0.attn_q.weight)[1]");
    QTest::newRow("negative") << one(1, {-1, 1}) << std::string("(blk.0.attn_q.weight)[0]");
    QTest::newRow("negative calls") << one(-1, {1, 1}) << std::string(".calls");
    QTest::newRow("no values") << one(1, {}) << std::string("(blk.0.attn_q.weight).n_values");
    Bytes name = entries(1);
    test::append(name, int32_t{1 << 20});
    name.resize(64);
    QTest::newRow("long name") << name << std::string("entry 1 of 1.length");
    Bytes values = entries(1);
    append_text(values, "a");
    test::append(values, int32_t{1});
    test::append(values, int32_t{0x7FFFFFFF});
    values.resize(values.size() + 4);
    QTest::newRow("more values than bytes") << values << std::string("entry 1 of 1 (a).n_values");
    Bytes twice = entries(2);
    append_entry(twice, "a", 1, {1});
    append_entry(twice, "a", 1, {1});
    QTest::newRow("weight twice") << twice << std::string("entry 2 of 2 (a)");
    Bytes longer = old_file();
    longer.push_back(std::byte{0});
    QTest::newRow("goes on") << longer << std::string("dataset");
}

void ImatrixTest::namesTheFieldOfABadOldFile()
{
    QFETCH(Bytes, bytes);
    QFETCH(std::string, field);
    EXPECT_ERROR(
        FileCorrupt, EXPECT_WORDS({std::string("test.imatrix"), field}), read(std::move(bytes)));
}

void ImatrixTest::refusesEveryTruncationOfAnOldFile()
{
    const Bytes whole = old_file();
    const std::size_t end_of_entries = whole.size() - 4 - 4 - 8;
    for (std::size_t size = 0; size < whole.size(); ++size) {
        if (size != end_of_entries) {
            const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"test.imatrix"}), read(part));
        }
    }
}

void ImatrixTest::givesEachLayerItsMeanSquares()
{
    const auto importance = layer_importance(read(old_file()),
        model_of(
            "llama", {{"self_attn.q_proj", 3}, {"self_attn.k_proj", 3}, {"mlp.down_proj", 2}}));
    QCOMPARE(importance.size(), std::size_t(2)); // nothing is known of k_proj
    QVERIFY(is(importance.at("model.layers.0.self_attn.q_proj"), {2, 0, 0.5}));
    QVERIFY(is(importance.at("model.layers.0.mlp.down_proj"), {1, 2}));
}

void ImatrixTest::countsExpertsThatNoTokenReachedAsOnes()
{
    GgufBuilder builder = gguf_file();
    builder.floats("blk.0.ffn_up_exps.weight.in_sum2", {2, 2}, {6, 4, 0, 0});
    builder.floats("blk.0.ffn_up_exps.weight.counts", {1, 2}, {2, 0});
    const auto importance = layer_importance(read(builder.bytes()),
        model_of("qwen3_moe", {{"mlp.experts.0.up_proj", 2}, {"mlp.experts.1.up_proj", 2}}, 2));
    QVERIFY(is(importance.at("model.layers.0.mlp.experts.0.up_proj"), {3, 2}));
    QVERIFY(is(importance.at("model.layers.0.mlp.experts.1.up_proj"), {1, 1}));
}

void ImatrixTest::splitsOldEntriesAmongExperts()
{
    Bytes bytes;
    test::append(bytes, int32_t{1});
    append_entry(bytes, "blk.0.ffn_up_exps.weight", 2, {2, 4, 6, 8});
    const auto importance = layer_importance(read(bytes),
        model_of("qwen3_moe", {{"mlp.experts.0.up_proj", 2}, {"mlp.experts.1.up_proj", 2}}, 2));
    QVERIFY(is(importance.at("model.layers.0.mlp.experts.1.up_proj"), {3, 4}));
}

void ImatrixTest::refusesMatricesOfOtherModels()
{
    const Imatrix imatrix = read(old_file());
    EXPECT_ERROR(ShapeMismatch, EXPECT_WORDS({"self_attn.q_proj", "3 sums", "1 x 64"}),
        layer_importance(imatrix, model_of("llama", {{"self_attn.q_proj", 64}})));
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"2 weights", "/models/tiny"}),
        layer_importance(imatrix, model_of("llama", {{"self_attn.v_proj", 64}})));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"mamba"}),
        layer_importance(imatrix, model_of("mamba", {{"self_attn.q_proj", 3}})));
}

void ImatrixTest::readsBackWhatItWrote()
{
    const TempFolder folder;
    const source::ModelSource model = model_of("qwen3_moe",
        {{"self_attn.q_proj", 3}, {"mlp.experts.0.up_proj", 2}, {"mlp.experts.1.up_proj", 2},
            {"mlp.experts.2.up_proj", 2}},
        3);
    Imatrix imatrix = imatrix_of(
        {{"model.layers.0.self_attn.q_proj", {at::tensor({1.F, 2.F, 3.F}), at::tensor({10.F})}},
            {"model.layers.0.mlp.experts.0.up_proj", {at::tensor({4.F, 5.F}), at::tensor({2.F})}},
            {"model.layers.0.mlp.experts.2.up_proj", {at::tensor({6.F, 7.F}), at::tensor({1.F})}}},
        model);
    imatrix.datasets = {"text.txt"};
    imatrix.chunks = 3;
    imatrix.chunk_tokens = 2048;
    write_imatrix(disk(), folder / "a.gguf", imatrix);

    const Imatrix back = read_imatrix(folder / "a.gguf");
    QCOMPARE(back.datasets, imatrix.datasets);
    QCOMPARE(back.chunks, int64_t{3});
    QCOMPARE(back.chunk_tokens, int64_t{2048});
    QVERIFY(is(back.weights.at("blk.0.attn_q.weight").sums, {1, 2, 3}));
    QVERIFY(is(back.weights.at("blk.0.ffn_up_exps.weight").sums, {4, 5, 0, 0, 6, 7}));
    QVERIFY(is(back.weights.at("blk.0.ffn_up_exps.weight").counts, {2, 0, 1}));
    const auto importance = layer_importance(back, model);
    QVERIFY(is(importance.at("model.layers.0.mlp.experts.0.up_proj"), {2, 2.5}));
    QVERIFY(is(importance.at("model.layers.0.mlp.experts.1.up_proj"), {1, 1}));
    EXPECT_ERROR(UnsupportedModel, EXPECT_WORDS({"mtp.layers.0"}),
        imatrix_of({{"mtp.layers.0", {at::ones({1}), at::ones({1})}}}, model));
}

BITSMITH_TEST(ImatrixTest)
#include "imatrix_test.moc"
