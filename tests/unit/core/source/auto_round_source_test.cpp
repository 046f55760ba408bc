// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/auto_round_source.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/scheme_of.h"
#include "support/test_main.h"
#include "tensor/bit_pack.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using tensor::ZeroOffset;

class AutoRoundSourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void decodesEveryWidthAndPacking_data();
    void decodesEveryWidthAndPacking();
    void takesWidthsOfSingleLayersFromTheConfiguration();
    void passesOtherTensorsThrough();
    void refusesWhatItCannotRead_data();
    void refusesWhatItCannotRead();
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
        << QByteArray("packing_format") << QByteArray("\"auto_round:auto_awq\"");
    QTest::newRow("another data type") << QByteArray("data_type") << QByteArray("\"mx_fp\"");
    QTest::newRow("quantized activations") << QByteArray("act_bits") << QByteArray("8");
    QTest::newRow("rotation") << QByteArray("rotation_config") << QByteArray("{\"a\": 1}");
    QTest::newRow("bits as text") << QByteArray("bits") << QByteArray("\"4\"");
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
