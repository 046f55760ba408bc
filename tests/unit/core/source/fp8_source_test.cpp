// SPDX-License-Identifier: GPL-3.0-or-later
#include "coded_check.h"
#include "source/fp8_source.h"
#include "source/mxfp4_source.h"
#include "support/expect_error.h"
#include "support/test_main.h"

#include <QtTest>

#include <cmath>

using namespace bitsmith;

class Fp8SourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void multipliesTiles();
    void cropsTheUsualTiles();
    void readsEveryShapeOfScales_data();
    void readsEveryShapeOfScales();
    void readsPowersOfTwo_data();
    void readsPowersOfTwo();
    void readsBytesAndWideExponents();
    void hasNoCodesThatAreNoNumbers();
    void refusesTensors_data();
    void refusesTensors();
    void refusesTilesOfNoSize_data();
    void refusesTilesOfNoSize();
    void passesStackedExpertsThrough();
    void refusesBlocksThatDoNotFit();
};

namespace {

Json fp8_config(const Json& tile = nullptr)
{
    return {{"quant_method", "fp8"}, {"fmt", "e4m3"}, {"weight_block_size", tile}};
}

at::Tensor e4m3(const at::Tensor& values)
{
    return values.to(at::kFloat8_e4m3fn);
}

} // namespace

void Fp8SourceTest::multipliesTiles()
{
    const at::Tensor bytes =
        bytes_of({0x40, 0x40, 0x40, 0x76, 0x40, 0x40, 0x40, 0x7E, 0xC0, 0x40, 0x40, 0x01}, 3, 4);
    const auto opened = source::open_fp8(fp8_config({2, 3}),
        stored_of({{"p.weight", bytes.view(at::kFloat8_e4m3fn)},
            {"p.weight_scale_inv", numbers({0.5F, 1, 2, 512}, 2)}, {"p.bias", at::ones({3})},
            {"p.input_scale", at::ones({1})}}));
    const at::Tensor expected = numbers({1, 1, 1, 224, 1, 1, 1, 448, -4, 4, 4, 1}, 3);
    QVERIFY(at::equal(opened->load("p.weight"), expected));
    QCOMPARE(opened->find("p.weight")->dtype, std::string("FP8"));
    QCOMPARE(opened->entries().size(), std::size_t(2));
    const Scheme& scheme = opened->codes()->schemes().at("p");
    QCOMPARE(scheme.data_type, DataType::Fp8);
    QCOMPARE(scheme.group_rows, int64_t(2));
    QCOMPARE(scheme.group_size, int64_t(3));
    QVERIFY(at::equal(opened->codes()->load("p").codes, bytes));
    QCOMPARE(different_layer(*opened), std::string());
}

void Fp8SourceTest::cropsTheUsualTiles()
{
    const auto opened = source::open_fp8(fp8_config(),
        stored_of({{"p.weight", e4m3(at::ones({130, 200}))},
            {"p.weight_scale_inv", numbers({1, 2, 3, 4}, 2).to(at::kBFloat16)}}));
    const at::Tensor weight = opened->load("p.weight");
    QCOMPARE(weight[127][127].item<float>(), 1.0F);
    QCOMPARE(weight[127][128].item<float>(), 2.0F);
    QCOMPARE(weight[128][127].item<float>(), 3.0F);
    QCOMPARE(weight[129][199].item<float>(), 4.0F);
    QCOMPARE(different_layer(*opened), std::string());
}

void Fp8SourceTest::readsEveryShapeOfScales_data()
{
    QTest::addColumn<at::Tensor>("scale");
    QTest::addColumn<at::Tensor>("factors");
    QTest::addColumn<int>("group");
    const at::Tensor rows = at::tensor({1.0F, 2.0F, 4.0F});
    QTest::newRow("scalar") << at::full({}, 2.0F) << at::full({3, 1}, 2.0F) << 0;
    QTest::newRow("one") << at::full({1}, 2.0F) << at::full({3, 1}, 2.0F) << 0;
    QTest::newRow("rows") << rows << rows.unsqueeze(1) << -1;
    QTest::newRow("column") << rows.unsqueeze(1) << rows.unsqueeze(1) << -1;
}

void Fp8SourceTest::readsEveryShapeOfScales()
{
    QFETCH(at::Tensor, scale);
    QFETCH(at::Tensor, factors);
    QFETCH(int, group);
    const at::Tensor values = at::arange(12, at::kFloat).reshape({3, 4});
    const auto opened = source::open_fp8(
        fp8_config(), stored_of({{"p.weight", e4m3(values)}, {"p.weight_scale", scale}}));
    QVERIFY(at::equal(opened->load("p.weight"), values * factors));
    QCOMPARE(opened->codes()->schemes().at("p").group_size, int64_t(group));
    QCOMPARE(different_layer(*opened), std::string());
}

void Fp8SourceTest::readsPowersOfTwo_data()
{
    QTest::addColumn<bool>("is_typed");
    QTest::newRow("bytes") << false;
    QTest::newRow("E8M0") << true;
}

void Fp8SourceTest::readsPowersOfTwo()
{
    QFETCH(bool, is_typed);
    const at::Tensor bytes = bytes_of({126, 128, 127, 0}, 2, 2);
    const auto opened = source::open_fp8(fp8_config({2, 3}),
        stored_of({{"p.weight", e4m3(at::ones({3, 4}))},
            {"p.scale", is_typed ? bytes.view(at::kFloat8_e8m0fnu) : bytes}}));
    const at::Tensor weight = opened->load("p.weight");
    QCOMPARE(weight[0][0].item<float>(), 0.5F);
    QCOMPARE(weight[1][3].item<float>(), 2.0F);
    QCOMPARE(weight[2][2].item<float>(), 1.0F);
    QCOMPARE(weight[2][3].item<float>(), std::ldexp(1.0F, -127));
    QCOMPARE(different_layer(*opened), std::string());
}

void Fp8SourceTest::readsBytesAndWideExponents()
{
    const auto bytes = source::open_fp8(fp8_config(),
        stored_of({{"p.weight", bytes_of({0x40, 0xC0}, 1, 2)}, {"p.weight_scale", at::ones({1})}}));
    QVERIFY(at::equal(bytes->load("p.weight"), numbers({2, -2})));
    QVERIFY(bytes->codes()->contains("p"));
    const auto wide = source::open_fp8(fp8_config(),
        stored_of({{"p.weight", numbers({2, -57344}).to(at::kFloat8_e5m2)},
            {"p.weight_scale", at::ones({1})}}));
    QVERIFY(at::equal(wide->load("p.weight"), numbers({2, -57344})));
    QVERIFY(!wide->codes()->contains("p"));
}

void Fp8SourceTest::hasNoCodesThatAreNoNumbers()
{
    const auto opened = source::open_fp8(fp8_config(),
        stored_of({{"p.weight", bytes_of({0x40, 0xFF}, 1, 2)}, {"p.weight_scale", at::ones({1})}}));
    QVERIFY(opened->load("p.weight").isnan()[0][1].item<bool>());
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"p.weight", "NaN"}), opened->codes()->load("p"));
}

void Fp8SourceTest::refusesTensors_data()
{
    QTest::addColumn<std::string>("name");
    QTest::addColumn<at::Tensor>("values"); // undefined: removed
    const auto row = [](const char* title, const char* name, const at::Tensor& values) {
        QTest::newRow(title) << std::string(name) << values;
    };
    row("no scales", "p.weight_scale_inv", {});
    row("more tiles", "p.weight_scale_inv", at::ones({3, 2}));
    row("tiles in three dimensions", "p.weight_scale_inv", at::ones({2, 2, 1}));
    row("stacked weights", "p.weight", e4m3(at::ones({1, 130, 200})));
    row("zero points", "p.weight_zero_point", at::zeros({2, 2}, at::kChar));
}

void Fp8SourceTest::refusesTensors()
{
    QFETCH(std::string, name);
    QFETCH(at::Tensor, values);
    TensorMap tensors = {
        {"p.weight", e4m3(at::ones({130, 200}))}, {"p.weight_scale_inv", at::ones({2, 2})}};
    tensors.erase(name);
    if (values.defined()) {
        tensors[name] = values;
        EXPECT_ERROR(
            FileCorrupt, EXPECT_WORDS({name}), source::open_fp8(fp8_config(), stored_of(tensors)));
    } else {
        EXPECT_ERROR(MissingTensor, EXPECT_WORDS({name}),
            source::open_fp8(fp8_config(), stored_of(tensors)));
    }
}

void Fp8SourceTest::refusesTilesOfNoSize_data()
{
    QTest::addColumn<QByteArray>("tile");
    for (const char* tile :
        {"[0, 128]", "[128]", "[128, 4611686018427387904]", "128", "[1.5, 1]"}) {
        QTest::newRow(tile) << QByteArray(tile);
    }
}

void Fp8SourceTest::refusesTilesOfNoSize()
{
    QFETCH(QByteArray, tile);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"weight_block_size"}),
        source::open_fp8(fp8_config(parse_json(tile.toStdString(), "tile")), stored_of({})));
}

void Fp8SourceTest::passesStackedExpertsThrough()
{
    const auto opened = source::open_mxfp4({{"quant_method", "mxfp4"}},
        stored_of({{"e.down_proj_blocks", at::zeros({2, 64, 3, 16}, at::kByte)},
            {"e.down_proj_scales", at::zeros({2, 64, 3}, at::kByte)},
            {"e.down_proj_bias", at::zeros({2, 64})}}));
    QCOMPARE(opened->entries().size(), std::size_t(3));
    QVERIFY(opened->codes() == nullptr);
}

void Fp8SourceTest::refusesBlocksThatDoNotFit()
{
    TensorMap tensors = {{"e.x_blocks", at::zeros({2, 64, 3, 16}, at::kByte)}};
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"e.x_scales"}),
        source::open_mxfp4(Json::object(), stored_of(tensors)));
    tensors["e.x_scales"] = at::zeros({2, 64, 4}, at::kByte);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"e.x_scales", "[2, 64, 3]"}),
        source::open_mxfp4(Json::object(), stored_of(tensors)));
    tensors["e.x_blocks"] = at::zeros({2, 64, 48}, at::kByte);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"e.x_blocks"}),
        source::open_mxfp4(Json::object(), stored_of(tensors)));
}

BITSMITH_TEST(Fp8SourceTest)
#include "fp8_source_test.moc"
