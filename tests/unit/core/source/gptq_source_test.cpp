// SPDX-License-Identifier: GPL-3.0-or-later
#include "coded_check.h"
#include "source/awq_source.h"
#include "source/gptq_source.h"
#include "support/expect_error.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "tensor/bit_pack.h"

#include <QtTest>

using namespace bitsmith;

/// GPTQ and AWQ: packed integers under two orders.
class GptqSourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsTheWordsOfTheSpecification_data();
    void readsTheWordsOfTheSpecification();
    void readsAsymmetricZeroPointsFieldByField();
    void readsBytesAsUnsigned();
    void passesBiasesOfZerosOn();
    void followsTheOrderOfColumns();
    void takesTheFirstRuleThatMatches();
    void readsTheInterleavedOrderOfAwq();
    void keepsTheCodesOfEveryWidth_data();
    void keepsTheCodesOfEveryWidth();
    void hasNoCodesWhereScalesAreNoHalves();
    void refusesConfigurations_data();
    void refusesConfigurations();
    void refusesTensors_data();
    void refusesTensors();
    void refusesAwqVersions_data();
    void refusesAwqVersions();
};

namespace {

Json gptq_config(int64_t bits = 4, int64_t group = 8)
{
    return {{"quant_method", "gptq"}, {"bits", bits}, {"group_size", group}, {"sym", true}};
}

/// Codes 1 to 8 in each of eight rows, zero point 8, scale 0.5; v1.
TensorMap gptq_layer()
{
    return {{"p.qweight", words_of(std::vector<uint32_t>(8, 0x87654321U), 1, 8)},
        {"p.qzeros", words_of({0x77777777U}, 1, 1)},
        {"p.scales", at::full({1, 8}, 0.5).to(at::kHalf)}};
}

TensorMap awq_layer()
{
    return {{"p.qweight", words_of({0x75316420U, 0x75316420U}, 2, 1)},
        {"p.qzeros", words_of({0x88888888U}, 1, 1)}, {"p.scales", at::ones({1, 8}, at::kHalf)}};
}

} // namespace

void GptqSourceTest::readsTheWordsOfTheSpecification_data()
{
    QTest::addColumn<QByteArray>("format");
    QTest::addColumn<quint32>("zeros");
    QTest::newRow("v1") << QByteArray("gptq") << 0x77777777U;
    QTest::newRow("v2") << QByteArray("gptq_v2") << 0x88888888U;
}

void GptqSourceTest::readsTheWordsOfTheSpecification()
{
    QFETCH(QByteArray, format);
    QFETCH(quint32, zeros);
    Json config = gptq_config();
    config["checkpoint_format"] = format.toStdString();
    TensorMap tensors = gptq_layer();
    tensors["p.qzeros"] = words_of({zeros}, 1, 1);
    tensors["p.g_idx"] = at::zeros({8}, at::kInt);
    const auto opened = source::open_gptq(config, stored_of(tensors));
    const at::Tensor row = numbers({-3.5F, -3, -2.5F, -2, -1.5F, -1, -.5F, 0});
    QVERIFY(at::equal(opened->load("p.weight"), row.expand({8, 8})));
    QCOMPARE(opened->entries().size(), std::size_t(1));
    QCOMPARE(opened->find("p.weight")->dtype, std::string("INT4"));
    QVERIFY(opened->codes()->schemes().at("p") == scheme_of(4, 8));
    QCOMPARE(different_layer(*opened), std::string());
}

// formats.md 3.4: some writers subtract 1 from whole words, others from each field; a file does not say
// which. Field by field is what most readers do.
void GptqSourceTest::readsAsymmetricZeroPointsFieldByField()
{
    // Zero points 0, 5, 8 ... less one in the whole word: the borrow shows in the second field.
    TensorMap tensors = gptq_layer();
    tensors["p.qzeros"] = words_of({0x7777773FU}, 1, 1);
    tensors["p.scales"] = at::ones({1, 8}, at::kHalf);
    const auto opened = source::open_gptq(gptq_config(), stored_of(tensors));
    const at::Tensor first = opened->load("p.weight").select(1, 0); // code 1
    QVERIFY(
        at::equal(first, at::tensor({-15.0F, -3.0F, -7.0F, -7.0F, -7.0F, -7.0F, -7.0F, -7.0F})));
    QVERIFY(opened->codes()->schemes().empty()); // 16 is no code of 4 bits
}

// formats.md 3.5: words are negative numbers in the file, and codes of 8 bits use the whole byte.
void GptqSourceTest::readsBytesAsUnsigned()
{
    const TensorMap tensors = {{"p.qweight", words_of(std::vector<uint32_t>(4, 0xFF800201U), 1, 4)},
        {"p.qzeros", words_of({0x7F7F7F7FU}, 1, 1)}, {"p.scales", at::ones({1, 4}, at::kHalf)}};
    const auto opened = source::open_gptq(gptq_config(8, 4), stored_of(tensors));
    QVERIFY(at::equal(opened->load("p.weight"), numbers({-127, -126, 0, 127}).expand({4, 4})));
}

// formats.md 3.5: AutoGPTQ wrote zeros for layers that have no bias.
void GptqSourceTest::passesBiasesOfZerosOn()
{
    TensorMap tensors = gptq_layer();
    tensors["p.bias"] = at::zeros({8}, at::kHalf);
    const auto opened = source::open_gptq(gptq_config(), stored_of(tensors));
    QCOMPARE(opened->entries().size(), std::size_t(2));
    QVERIFY(at::equal(opened->load("p.bias"), tensors["p.bias"]));
    QVERIFY(opened->codes()->contains("p"));
}

void GptqSourceTest::followsTheOrderOfColumns()
{
    TensorMap tensors = gptq_layer();
    tensors["p.qzeros"] = words_of({0x77777777U, 0x33333333U}, 2, 1);
    tensors["p.scales"] = at::cat({at::ones({1, 8}), at::full({1, 8}, 2.0)}).to(at::kHalf);
    tensors["p.g_idx"] = at::tensor({1, 0, 0, 1, 0, 0, 1, 1}, at::kInt);
    const auto opened = source::open_gptq(gptq_config(4, 4), stored_of(tensors));
    const at::Tensor row = numbers({-6, -6, -5, 0, -3, -2, 6, 8});
    QVERIFY(at::equal(opened->load("p.weight"), row.expand({8, 8})));
    QVERIFY(!opened->codes()->contains("p"));
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"p"}), opened->codes()->load("p"));

    tensors["p.g_idx"] = at::tensor({0, 0, 0, 0, 1, 1, 1, 1}, at::kInt);
    const auto ordered = source::open_gptq(gptq_config(4, 4), stored_of(tensors));
    QVERIFY(ordered->codes()->contains("p"));
    QVERIFY(!ordered->codes()->schemes().at("p").sym);
    QCOMPARE(different_layer(*ordered), std::string());

    for (const int group : {-1, 2}) {
        tensors["p.g_idx"] = at::tensor({0, 0, 0, group, 1, 1, 1, 1}, at::kInt);
        const auto broken = source::open_gptq(gptq_config(4, 4), stored_of(tensors));
        EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"p.g_idx", "0 to 1"}), broken->load("p.weight"));
        EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"p.g_idx"}), broken->codes()->schemes());
    }
}

void GptqSourceTest::takesTheFirstRuleThatMatches()
{
    const auto eight = test::random_weight(scheme_of(8, 32), 32, 64);
    const auto four = test::random_weight(scheme_of(4, -1), 32, 64);
    TensorMap tensors;
    for (const auto& [name, weight] :
        {std::pair{"model.a.down", &eight}, std::pair{"model.b.down", &four}}) {
        const std::string layer = name;
        tensors[layer + ".qweight"] = tensor::pack_gptq_codes(weight->codes, weight->scheme.bits);
        tensors[layer + ".qzeros"] = tensor::pack_gptq_zeros(
            weight->zeros, weight->scheme.bits, tensor::ZeroOffset::MinusOne);
        tensors[layer + ".scales"] = weight->scales.t().contiguous();
    }
    Json config = gptq_config(4, -1);
    config["dynamic"] = {{"+:.*\\.a\\.down", {{"bits", 8}, {"group_size", 32}}},
        {"a\\.down", {{"bits", 2}}}, {"-:.*a.*", Json::object()}};
    const auto opened = source::open_gptq(config, stored_of(tensors));
    QVERIFY(at::equal(opened->load("model.a.down.weight"), test::expected_values(eight)));
    QVERIFY(at::equal(opened->load("model.b.down.weight"), test::expected_values(four)));
    // "b" stands inside the name, but a rule has to match from its start.
    config["dynamic"] = {
        {"b\\.down", {{"bits", 2}}}, {"model\\.a", {{"bits", 8}, {"group_size", 32}}}};
    QVERIFY(source::open_gptq(config, stored_of(tensors))->find("model.b.down.weight") != nullptr);
    config["dynamic"] = {{"-:model\\.a", Json::object()}};
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"model.a.down.qweight", "dynamic"}),
        source::open_gptq(config, stored_of(tensors)));
}

void GptqSourceTest::readsTheInterleavedOrderOfAwq()
{
    const at::Tensor rows = at::arange(-8, 0, at::kFloat).unsqueeze(1).expand({8, 2});
    Json own = {{"quant_method", "awq"}, {"w_bit", 4}, {"q_group_size", 2}, {"version", "GEMM"},
        {"zero_point", false}};
    const Json usual = {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 2},
        {"version", "gemm"}, {"zero_point", true}};
    for (const Json& config : {own, usual}) {
        const auto opened = source::open_awq(config, stored_of(awq_layer()));
        QVERIFY(at::equal(opened->load("p.weight"), rows));
        QCOMPARE(opened->codes()->schemes().at("p").sym, config["zero_point"] == false);
        QCOMPARE(different_layer(*opened), std::string());
    }
    TensorMap tensors = awq_layer();
    tensors["p.qzeros"] = words_of({0x75316420U}, 1, 1); // of output o: o
    QVERIFY(
        at::equal(source::open_awq(own, stored_of(tensors))->load("p.weight"), at::zeros({8, 2})));
}

void GptqSourceTest::keepsTheCodesOfEveryWidth_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("group");
    QTest::addColumn<bool>("sym");
    for (const int bits : {2, 3, 4, 8}) {
        for (const int group : {32, 40, -1}) {
            for (const bool sym : {true, false}) {
                QTest::addRow("%d bits, group %d, %s", bits, group, sym ? "sym" : "asym")
                    << bits << group << sym;
            }
        }
    }
}

void GptqSourceTest::keepsTheCodesOfEveryWidth()
{
    QFETCH(int, bits);
    QFETCH(int, group);
    QFETCH(bool, sym);
    at::manual_seed(bits + group);
    const auto weight = test::random_weight(scheme_of(bits, group, sym), 64, 96);
    const TensorMap tensors = {{"p.qweight", tensor::pack_gptq_codes(weight.codes, bits)},
        {"p.qzeros", tensor::pack_gptq_zeros(weight.zeros, bits, tensor::ZeroOffset::Plain)},
        {"p.scales", weight.scales.t().contiguous()}};
    Json config = gptq_config(bits, group);
    config["checkpoint_format"] = "gptq_v2";
    config["sym"] = sym;
    const auto opened = source::open_gptq(config, stored_of(tensors));
    const quant::QuantizedWeight codes = opened->codes()->load("p");
    QVERIFY(codes.scheme == weight.scheme);
    QVERIFY(at::equal(codes.codes, weight.codes));
    QVERIFY(at::equal(codes.scales, weight.scales));
    QVERIFY(at::equal(codes.zeros, weight.zeros));
    QCOMPARE(different_layer(*opened), std::string());
}

void GptqSourceTest::hasNoCodesWhereScalesAreNoHalves()
{
    TensorMap tensors = gptq_layer();
    tensors["p.scales"] = at::full({1, 8}, 0.5F);
    QVERIFY(source::open_gptq(gptq_config(), stored_of(tensors))->codes()->contains("p"));
    tensors["p.scales"] = at::full({1, 8}, 0.1F);
    const auto opened = source::open_gptq(gptq_config(), stored_of(tensors));
    QVERIFY(!opened->codes()->contains("p"));
    QCOMPARE(opened->load("p.weight")[0][0].item<float>(), -7 * 0.1F);
}

void GptqSourceTest::refusesConfigurations_data()
{
    QTest::addColumn<QByteArray>("patch");
    QTest::addColumn<QString>("word");
    const auto row = [](const char* name, const std::string& patch, const char* word) {
        QTest::newRow(name) << QByteArray::fromStdString(patch) << QString(word);
    };
    row("format", R"({"checkpoint_format": "marlin"})", "checkpoint_format");
    row("format of new versions", R"({"format": "bitblas"})", "bitblas");
    row("Marlin", R"({"is_marlin_format": true})", "is_marlin_format");
    row("words", R"({"pack_dtype": "int8"})", "pack_dtype");
    row("no bits", R"({"bits": null})", "bits");
    row("bits as text", R"({"bits": "4"})", "bits");
    row("width", R"({"bits": 5})", "5 bits");
    row("group", R"({"group_size": 0})", "group_size");
    row("sym as text", R"({"sym": "yes"})", "sym");
    row("rules as list", R"({"dynamic": ["a"]})", "dynamic");
    row("rule as number", R"({"dynamic": {"a": 4}})", "dynamic.a");
    row("pattern", R"({"dynamic": {"+:a(b": {}}})", "dynamic.+:a(b");
    row("long pattern", "{\"dynamic\": {\"" + std::string(600, 'a') + "\": {}}}", "512 bytes");
}

void GptqSourceTest::refusesConfigurations()
{
    QFETCH(QByteArray, patch);
    QFETCH(QString, word);
    Json config = gptq_config();
    config.update(parse_json(patch.toStdString(), "patch"));
    try {
        source::open_gptq(config, stored_of(gptq_layer()));
        QFAIL("it was opened");
    } catch (const Error& error) {
        QVERIFY2(
            error.code() == ErrorCode::UnsupportedFormat || error.code() == ErrorCode::FileCorrupt,
            error.what());
        QVERIFY2(QString(error.what()).contains(word), error.what());
    }
}

void GptqSourceTest::refusesTensors_data()
{
    QTest::addColumn<std::string>("name");
    QTest::addColumn<at::Tensor>("values"); // undefined: removed
    const auto row = [](const char* title, const char* name, const at::Tensor& values) {
        QTest::newRow(title) << std::string(name) << values;
    };
    row("codes of another type", "p.qweight", at::zeros({1, 8}, at::kLong));
    row("codes in one dimension", "p.qweight", at::zeros({8}, at::kInt));
    row("no codes", "p.qweight", at::zeros({0, 8}, at::kInt));
    row("plain weight besides", "p.weight", at::zeros({8, 8}));
    row("no scales", "p.scales", {});
    row("integer scales", "p.scales", at::zeros({1, 8}, at::kInt));
    row("more groups", "p.scales", at::ones({2, 8}, at::kHalf));
    row("no zero points", "p.qzeros", {});
    row("more zero points", "p.qzeros", at::zeros({1, 2}, at::kInt));
    row("floating zero points", "p.qzeros", at::zeros({1, 1}));
    row("short order", "p.g_idx", at::zeros({7}, at::kInt));
    row("order of another type", "p.g_idx", at::zeros({8}, at::kLong));
}

void GptqSourceTest::refusesTensors()
{
    QFETCH(std::string, name);
    QFETCH(at::Tensor, values);
    TensorMap tensors = gptq_layer();
    tensors.erase(name);
    if (values.defined()) {
        tensors[name] = values;
        EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({name}),
            source::open_gptq(gptq_config(), stored_of(tensors)));
    } else {
        EXPECT_ERROR(MissingTensor, EXPECT_WORDS({name}),
            source::open_gptq(gptq_config(), stored_of(tensors)));
    }
}

void GptqSourceTest::refusesAwqVersions_data()
{
    QTest::addColumn<QByteArray>("patch");
    QTest::addColumn<QString>("word");
    QTest::newRow("version") << QByteArray(R"({"version": "gemv"})") << "version";
    QTest::newRow("format") << QByteArray(R"({"format": "gemv_fast"})") << "gemv_fast";
    QTest::newRow("width") << QByteArray(R"({"bits": 8})") << "bits";
    QTest::newRow("own width") << QByteArray(R"({"w_bit": 3})") << "bits";
    QTest::newRow("group") << QByteArray(R"({"q_group_size": 0})") << "group_size";
}

void GptqSourceTest::refusesAwqVersions()
{
    QFETCH(QByteArray, patch);
    QFETCH(QString, word);
    const Json config = parse_json(patch.toStdString(), "patch");
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({word.toStdString()}),
        source::open_awq(config, stored_of(awq_layer())));
    TensorMap broken = awq_layer();
    broken["p.qweight"] = at::zeros({3, 1}, at::kInt); // one and a half groups
    broken["p.scales"] = at::ones({2, 8}, at::kHalf);
    broken["p.qzeros"] = at::zeros({2, 1}, at::kInt);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"p.scales", "whole groups"}),
        source::open_awq({{"q_group_size", 2}}, stored_of(broken)));
}

BITSMITH_TEST(GptqSourceTest)
#include "gptq_source_test.moc"
