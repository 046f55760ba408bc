// SPDX-License-Identifier: GPL-3.0-or-later
#include "coded_check.h"
#include "source/auto_round_source.h"
#include "support/expect_error.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <QtTest>

#include <cmath>

using namespace bitsmith;
using tensor::ZeroOffset;

class AutoRoundSourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decodesEveryWidthAndPacking_data();
    void decodesEveryWidthAndPacking();
    void readsEveryPackingOfIntegers_data();
    void readsEveryPackingOfIntegers();
    void readsSmallFloats_data();
    void readsSmallFloats();
    void hasNoCodesForScalesOfNoCodec_data();
    void hasNoCodesForScalesOfNoCodec();
    void readsFp8_data();
    void readsFp8();
    void takesWidthsOfSingleLayersFromTheConfiguration();
    void takesWidthsFromPatterns();
    void passesOtherTensorsThrough();
    void refusesWhatItCannotRead_data();
    void refusesWhatItCannotRead();
    void refusesRulesThatAreNoObject_data();
    void refusesRulesThatAreNoObject();
    void refusesTensorsThatDoNotFit_data();
    void refusesTensorsThatDoNotFit();
    void refusesALayerWithoutScales();
};

namespace {

constexpr int64_t kRows = 64, kColumns = 96;

void add_packed(test::MemoryTensors& tensors, const std::string& name,
    const quant::QuantizedWeight& weight, ZeroOffset offset)
{
    const int64_t bits = weight.scheme.bits;
    tensors.add(name + ".qweight", tensor::pack_gptq_codes(weight.codes, bits));
    tensors.add(name + ".qzeros", tensor::pack_gptq_zeros(weight.zeros, bits, offset));
    tensors.add(name + ".scales", weight.scales.t().contiguous());
}

Json config_of(int64_t bits, int64_t group, const char* packing)
{
    return {{"quant_method", "auto-round"}, {"packing_format", packing}, {"bits", bits},
        {"group_size", group}, {"sym", true}, {"data_type", "int"}};
}

} // namespace

void AutoRoundSourceTest::decodesEveryWidthAndPacking_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("group");
    QTest::addColumn<bool>("sym");
    for (const int bits : {2, 3, 4, 8}) {
        for (const int group : {32, 64, -1}) {
            for (const bool sym : {true, false}) {
                QTest::addRow("%d bits, group %d, %s", bits, group, sym ? "sym" : "asym")
                    << bits << group << sym;
            }
        }
    }
}

void AutoRoundSourceTest::decodesEveryWidthAndPacking()
{
    QFETCH(int, bits);
    QFETCH(int, group);
    QFETCH(bool, sym);
    at::manual_seed(bits + group);
    const auto weight = test::random_weight(scheme_of(bits, group, sym), kRows, kColumns);
    const auto stored = std::make_shared<test::MemoryTensors>();
    add_packed(*stored, "p", weight, sym ? ZeroOffset::MinusOne : ZeroOffset::Plain);
    const auto opened = source::open_auto_round(
        config_of(bits, group, sym ? "auto_round:auto_gptq" : "auto_round"), stored);
    QCOMPARE(opened->entries().size(), std::size_t(1));
    QCOMPARE(opened->find("p.weight")->shape, (std::vector<int64_t>{kRows, kColumns}));
    QVERIFY(at::equal(opened->load("p.weight"), test::expected_values(weight)));
    QVERIFY(opened->codes()->schemes().at("p") == weight.scheme);
    QCOMPARE(different_layer(*opened), std::string());
}

// formats.md 2.11: old files spell the packings without "auto_", and none means auto_gptq.
void AutoRoundSourceTest::readsEveryPackingOfIntegers_data()
{
    QTest::addColumn<QByteArray>("packing");
    QTest::addColumn<quint32>("codes");
    QTest::addColumn<quint32>("zeros");
    const auto row = [](const char* packing, quint32 codes, quint32 zeros) {
        QTest::newRow(packing) << QByteArray(packing) << codes << zeros;
    };
    row("auto_round", 0x87654321, 0x88888888);
    row("auto_round:gptqmodel", 0x87654321, 0x88888888);
    row("auto_round:auto_gptq", 0x87654321, 0x77777777);
    row("auto_round:gptq", 0x87654321, 0x77777777);
    row("", 0x87654321, 0x77777777);
    row("auto_round:auto_awq", 0x86427531, 0x88888888);
    row("auto_round:awq", 0x86427531, 0x88888888);
}

void AutoRoundSourceTest::readsEveryPackingOfIntegers()
{
    QFETCH(QByteArray, packing);
    QFETCH(quint32, codes);
    QFETCH(quint32, zeros);
    const bool is_awq = packing.endsWith("awq");
    Json config = config_of(4, 8, packing.constData());
    if (packing.isEmpty()) {
        config.erase("packing_format");
    }
    const at::Tensor words = words_of(std::vector<uint32_t>(8, codes), 1, 8);
    const auto opened = source::open_auto_round(config,
        stored_of({{"p.qweight", is_awq ? words.t() : words}, {"p.qzeros", words_of({zeros}, 1, 1)},
            {"p.scales", at::ones({1, 8}, at::kHalf)}}));
    // Codes 1 to 8, along the input in GPTQ's order and along the output in AWQ's.
    const at::Tensor row = at::arange(-7, 1, at::kFloat).expand({8, 8});
    QVERIFY(at::equal(opened->load("p.weight"), is_awq ? row.t() : row));
    QVERIFY(opened->codes()->schemes().at("p") == scheme_of(4, 8));
    QCOMPARE(different_layer(*opened), std::string());
}

void AutoRoundSourceTest::readsSmallFloats_data()
{
    QTest::addColumn<QByteArray>("packing");
    QTest::addColumn<QByteArray>("type");
    QTest::addColumn<at::Tensor>("codes");
    QTest::addColumn<at::Tensor>("scales");
    QTest::addColumn<QByteArray>("word");
    QTest::addColumn<float>("second");
    const auto row = [](const char* word, const char* packing, const char* type,
                         const at::Tensor& codes, const at::Tensor& scales, float second) {
        QTest::newRow(word) << QByteArray(packing) << QByteArray(type) << codes << scales
                            << QByteArray(word) << second;
    };
    const at::Tensor pairs = at::full({2, 16}, 0xF1, at::kByte); // two rows of 32 codes
    const at::Tensor doubling = at::full({2, 1}, 128, at::kByte);
    row("MXFP4", "auto_round:llm_compressor", "mx_fp", pairs, doubling, -12);
    row("MXFP8", "auto_round:llm_compressor", "mx_fp",
        at::full({2, 32}, -224.0F).to(at::kFloat8_e4m3fn), doubling, -448);
    row("MXINT4", "auto_round", "mx_int", pairs, doubling, -3.5F);
    row("NVFP4", "auto_round:llm_compressor", "nv_fp", pairs,
        at::full({2, 2}, 224.0F).to(at::kFloat8_e4m3fn), -1.5F);
    // UE5M3 0x7C: 2^(15 - 15) * (1 + 4/8).
    row("NVFP4_E5M3", "auto_round:llm_compressor_nvfp4_e5m3", "nvfp4_v2", pairs,
        at::full({2, 2}, 0x7C, at::kByte), -9);
}

void AutoRoundSourceTest::readsSmallFloats()
{
    QFETCH(QByteArray, packing);
    QFETCH(QByteArray, type);
    QFETCH(at::Tensor, codes);
    QFETCH(at::Tensor, scales);
    QFETCH(QByteArray, word);
    QFETCH(float, second);
    const std::string name = codes.size(1) == 16 ? "p.weight_packed" : "p.weight";
    TensorMap tensors = {{name, codes}, {"p.weight_scale", scales}, {"p.bias", at::ones({2})}};
    if (word == "NVFP4") {
        tensors["p.weight_global_scale"] = at::full({1}, 896.0F);
        tensors["p.input_global_scale"] = at::ones({1});
    }
    Json config = config_of(4, 32, packing.constData());
    config["data_type"] = type.toStdString();
    config["act_bits"] = 4;
    const auto opened = source::open_auto_round(config, stored_of(tensors));
    QCOMPARE(opened->entries().size(), std::size_t(2));
    QCOMPARE(opened->find("p.weight")->dtype, word.toStdString());
    QCOMPARE(opened->load("p.weight")[1][1].item<float>(), second);
    QCOMPARE(opened->load("p.weight").sizes().vec(), (std::vector<int64_t>{2, 32}));
    QVERIFY(opened->codes()->contains("p"));
    QCOMPARE(different_layer(*opened), std::string());
}

void AutoRoundSourceTest::hasNoCodesForScalesOfNoCodec_data()
{
    QTest::addColumn<int>("byte");
    QTest::addColumn<bool>("is_number");
    QTest::newRow("smallest power") << 0 << true;
    QTest::newRow("not a number") << 255 << false;
}

void AutoRoundSourceTest::hasNoCodesForScalesOfNoCodec()
{
    QFETCH(int, byte);
    QFETCH(bool, is_number);
    Json config = config_of(4, 32, "auto_round:llm_compressor");
    config["data_type"] = "mx_fp";
    const auto opened = source::open_auto_round(config,
        stored_of({{"p.weight_packed", at::full({1, 16}, 0xF1, at::kByte)},
            {"p.weight_scale", at::full({1, 1}, byte, at::kByte)}}));
    const float value = opened->load("p.weight")[0][0].item<float>();
    QCOMPARE(std::isnan(value), !is_number);
    QVERIFY(!is_number || value == std::ldexp(0.5F, -127));
    QVERIFY(!opened->codes()->contains("p"));
}

void AutoRoundSourceTest::readsFp8_data()
{
    QTest::addColumn<QByteArray>("packing");
    QTest::addColumn<QByteArray>("scale");
    QTest::newRow("static") << QByteArray("\"auto_round:fp8_static\"")
                            << QByteArray("weight_scale");
    QTest::newRow("tiles") << QByteArray("\"auto_round:fp8\"") << QByteArray("weight_scale_inv");
    QTest::newRow("weights only") << QByteArray("null") << QByteArray("weight_scale");
}

void AutoRoundSourceTest::readsFp8()
{
    QFETCH(QByteArray, packing);
    QFETCH(QByteArray, scale);
    const Json config = {{"quant_method", "auto-round"}, {"data_type", "fp"}, {"bits", 8},
        {"group_size", {128, 128}}, {"act_bits", 8},
        {"packing_format", parse_json(packing.toStdString(), "test")}};
    const auto opened = source::open_auto_round(config,
        stored_of({{"p.weight", numbers({2, -448}).to(at::kFloat8_e4m3fn)},
            {"p." + scale.toStdString(), at::full({1}, 0.5).to(at::kBFloat16)}}));
    QVERIFY(at::equal(opened->load("p.weight"), numbers({1, -224})));
    QCOMPARE(different_layer(*opened), std::string());
}

void AutoRoundSourceTest::takesWidthsOfSingleLayersFromTheConfiguration()
{
    const auto stored = std::make_shared<test::MemoryTensors>();
    const auto four = test::random_weight(scheme_of(4, 32, true), kRows, kColumns);
    const auto eight = test::random_weight(scheme_of(8, -1, true), kRows, kColumns);
    add_packed(*stored, "a", four, ZeroOffset::MinusOne);
    add_packed(*stored, "b", eight, ZeroOffset::MinusOne);
    Json config = config_of(4, 32, "auto_round:auto_gptq");
    config["extra_config"] = {{"b", {{"bits", 8}, {"group_size", -1}}}};
    const auto opened = source::open_auto_round(config, stored);
    QVERIFY(at::equal(opened->load("a.weight"), test::expected_values(four)));
    QVERIFY(at::equal(opened->load("b.weight"), test::expected_values(eight)));
}

void AutoRoundSourceTest::takesWidthsFromPatterns()
{
    const auto stored = std::make_shared<test::MemoryTensors>();
    const auto eight = test::random_weight(scheme_of(8, 32, true), kRows, kColumns);
    const auto two = test::random_weight(scheme_of(2, 32, true), kRows, kColumns);
    add_packed(*stored, "model.a.down", eight, ZeroOffset::MinusOne);
    add_packed(*stored, "model.b.down", two, ZeroOffset::MinusOne);
    Json config = config_of(4, 32, "auto_round:auto_gptq");
    config["extra_config"] = {
        {".*down", {{"bits", 8}}}, {"down$", {{"bits", 3}}}, {"model.b.down", {{"bits", 2}}}};
    const auto opened = source::open_auto_round(config, stored);
    QVERIFY(at::equal(opened->load("model.a.down.weight"), test::expected_values(eight)));
    QVERIFY(at::equal(opened->load("model.b.down.weight"), test::expected_values(two)));
}

void AutoRoundSourceTest::passesOtherTensorsThrough()
{
    const auto stored = std::make_shared<test::MemoryTensors>();
    stored->add("norm.weight", at::ones({8}).to(at::kBFloat16));
    stored->add("router.scales", at::ones({8, 2}));
    const auto opened = source::open_auto_round(config_of(4, 32, "auto_round"), stored);
    QCOMPARE(opened->entries().size(), std::size_t(2));
    QCOMPARE(opened->load("norm.weight").scalar_type(), at::kBFloat16);
    QVERIFY(opened->find("router.scales") != nullptr);
}

void AutoRoundSourceTest::refusesWhatItCannotRead_data()
{
    QTest::addColumn<QByteArray>("field");
    QTest::addColumn<QByteArray>("value");
    QTest::newRow("another method") << QByteArray("quant_method") << QByteArray("\"awq\"");
    QTest::newRow("another packing")
        << QByteArray("packing_format") << QByteArray("\"auto_round:marlin\"");
    QTest::newRow("another data type") << QByteArray("data_type") << QByteArray("\"mx_fp\"");
    QTest::newRow("quantized activations") << QByteArray("act_bits") << QByteArray("8");
    QTest::newRow("rotation") << QByteArray("rotation_config") << QByteArray("{\"a\": 1}");
    QTest::newRow("bits as text") << QByteArray("bits") << QByteArray("\"4\"");
    QTest::newRow("pattern") << QByteArray("extra_config") << QByteArray("{\"a(b\": {}}");
}

void AutoRoundSourceTest::refusesWhatItCannotRead()
{
    QFETCH(QByteArray, field);
    QFETCH(QByteArray, value);
    Json config = config_of(4, 32, "auto_round");
    config[field.toStdString()] = parse_json(value.toStdString(), "test");
    const auto stored = std::make_shared<test::MemoryTensors>();
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({field.toStdString()}),
        source::open_auto_round(config, stored));
}

void AutoRoundSourceTest::refusesRulesThatAreNoObject_data()
{
    QTest::addColumn<QByteArray>("rules");
    QTest::addColumn<QByteArray>("field");
    QTest::addColumn<QByteArray>("found");
    QTest::newRow("list") << QByteArray(R"([{"a": {"bits": 8}}])") << QByteArray("extra_config")
                          << QByteArray(R"([{"a":{"bits":8}}])");
    QTest::newRow("text") << QByteArray(R"("a")") << QByteArray("extra_config")
                          << QByteArray(R"("a")");
    QTest::newRow("rule") << QByteArray(R"({"a": 8})") << QByteArray("extra_config.a")
                          << QByteArray("8");
}

void AutoRoundSourceTest::refusesRulesThatAreNoObject()
{
    QFETCH(QByteArray, rules);
    QFETCH(QByteArray, field);
    QFETCH(QByteArray, found);
    Json config = config_of(4, 32, "auto_round");
    config["extra_config"] = parse_json(rules.toStdString(), "test");
    EXPECT_ERROR(FileCorrupt,
        EXPECT_WORDS({"field: quantization_config." + field.toStdString(),
            "found: " + found.toStdString(), "an object"}),
        source::open_auto_round(config, std::make_shared<test::MemoryTensors>()));
}

void AutoRoundSourceTest::refusesTensorsThatDoNotFit_data()
{
    QTest::addColumn<QByteArray>("tensor");
    QTest::addColumn<int>("rows");
    QTest::addColumn<int>("columns");
    QTest::newRow("too few groups") << QByteArray("p.scales") << 2 << 64;
    QTest::newRow("another width of zero points") << QByteArray("p.qzeros") << 3 << 16;
    QTest::newRow("more inputs than groups") << QByteArray("p.qweight") << 24 << 64;
    QTest::newRow("no outputs") << QByteArray("p.qweight") << 12 << 0;
}

void AutoRoundSourceTest::refusesTensorsThatDoNotFit()
{
    QFETCH(QByteArray, tensor);
    QFETCH(int, rows);
    QFETCH(int, columns);
    const auto stored = std::make_shared<test::MemoryTensors>();
    add_packed(*stored, "p", test::random_weight(scheme_of(4, 32, true), kRows, kColumns),
        ZeroOffset::MinusOne);
    const std::string name = tensor.toStdString();
    const at::ScalarType type = stored->load(name).scalar_type();
    stored->remove(name);
    stored->add(name, at::zeros({rows, columns}, type));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"p."}),
        source::open_auto_round(config_of(4, 32, "auto_round:auto_gptq"), stored));
}

void AutoRoundSourceTest::refusesALayerWithoutScales()
{
    const auto stored = std::make_shared<test::MemoryTensors>();
    add_packed(*stored, "p", test::random_weight(scheme_of(4, 32, true), kRows, kColumns),
        ZeroOffset::MinusOne);
    stored->remove("p.scales");
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"p.scales"}),
        source::open_auto_round(config_of(4, 32, "auto_round:auto_gptq"), stored));
}

BITSMITH_TEST(AutoRoundSourceTest)
#include "auto_round_source_test.moc"
