// SPDX-License-Identifier: GPL-3.0-or-later
#include "coded_check.h"
#include "source/mlx_source.h"
#include "support/expect_error.h"
#include "support/scheme_of.h"
#include "support/test_main.h"

#include <QtTest>

using namespace bitsmith;

class MlxSourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsTheWordsOfTheSpecification();
    void readsEveryWidth_data();
    void readsEveryWidth();
    void takesValuesOfSingleLayers();
    void hasNoCodesForOtherNumbers();
    void refusesConfigurations_data();
    void refusesConfigurations();
    void refusesTensors_data();
    void refusesTensors();
};

namespace {

/// Codes uint8 [rows, columns] as one stream of bits per row.
at::Tensor stream(const at::Tensor& codes, int64_t bits)
{
    const int64_t rows = codes.size(0), columns = codes.size(1);
    std::vector<uint32_t> words(static_cast<std::size_t>(rows * columns * bits / 32));
    for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = 0; i < columns * bits; ++i) {
            const auto code = codes[row][i / bits].item<int64_t>();
            const int64_t place = row * columns * bits + i;
            words[static_cast<std::size_t>(place / 32)] |=
                static_cast<uint32_t>(code >> (i % bits) & 1) << (place % 32);
        }
    }
    return words_of(words, rows, columns * bits / 32).view(at::kUInt32);
}

TensorMap mlx_layer(const at::Tensor& words, int64_t groups)
{
    return {{"p.weight", words}, {"p.scales", at::full({words.size(0), groups}, 0.5).to(at::kHalf)},
        {"p.biases", at::full({words.size(0), groups}, -4.0).to(at::kHalf)}};
}

/// Codes i % 8 of 3 bits in one row of 32.
TensorMap three_bits()
{
    return mlx_layer(words_of({0x88FAC688U, 0xC688FAC6U, 0xFAC688FAU}, 1, 3).view(at::kUInt32), 1);
}

Json config_of(int64_t bits, int64_t group)
{
    return {{"group_size", group}, {"bits", bits}, {"mode", "affine"}};
}

} // namespace

void MlxSourceTest::readsTheWordsOfTheSpecification()
{
    const auto four = source::open_mlx(
        config_of(4, 8), stored_of(mlx_layer(words_of({0x87654321U}, 1, 1).view(at::kUInt32), 1)));
    QVERIFY(at::equal(four->load("p.weight"), numbers({-3.5F, -3, -2.5F, -2, -1.5F, -1, -.5F, 0})));
    QCOMPARE(four->find("p.weight")->dtype, std::string("INT4"));
    QCOMPARE(four->entries().size(), std::size_t(1));

    const auto three = source::open_mlx(config_of(3, 32), stored_of(three_bits()));
    const at::Tensor codes = at::arange(32, at::kLong).remainder(8).unsqueeze(0);
    QVERIFY(at::equal(three->load("p.weight"), codes.to(at::kFloat) * 0.5 - 4));
    QVERIFY(at::equal(three->codes()->load("p").codes, codes.to(at::kByte)));
    QCOMPARE(different_layer(*three), std::string());
}

void MlxSourceTest::readsEveryWidth_data()
{
    QTest::addColumn<int>("bits");
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
        QTest::addRow("%d bits", bits) << bits;
    }
}

void MlxSourceTest::readsEveryWidth()
{
    QFETCH(int, bits);
    at::manual_seed(bits);
    const auto weight =
        test::random_weight(scheme_of(bits, 32, false, DataType::IntFloatZero), 3, 64);
    const auto opened = source::open_mlx(config_of(bits, 32),
        stored_of({{"p.weight", stream(weight.codes, bits)}, {"p.scales", weight.scales},
            {"p.biases", weight.zeros}}));
    QVERIFY(at::equal(opened->load("p.weight"), test::expected_values(weight)));
    QVERIFY(opened->codes()->schemes().at("p") == weight.scheme);
    QVERIFY(at::equal(opened->codes()->load("p").codes, weight.codes));
    QCOMPARE(different_layer(*opened), std::string());
}

void MlxSourceTest::takesValuesOfSingleLayers()
{
    TensorMap tensors = three_bits();
    tensors["head.weight"] = at::ones({8, 8}, at::kBFloat16);
    Json config = config_of(8, 64);
    config["p"] = {{"group_size", 16}, {"bits", 3}};
    config["head"] = false;
    tensors["p.scales"] = at::full({1, 2}, 0.5).to(at::kHalf);
    tensors["p.biases"] = at::full({1, 2}, -4.0).to(at::kHalf);
    const auto opened = source::open_mlx(config, stored_of(tensors));
    QCOMPARE(opened->find("p.weight")->shape, (std::vector<int64_t>{1, 32}));
    QCOMPARE(opened->load("head.weight").scalar_type(), at::kBFloat16);
    config["p"] = false;
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"p.weight", "quantization.p"}),
        source::open_mlx(config, stored_of(tensors)));
}

void MlxSourceTest::hasNoCodesForOtherNumbers()
{
    TensorMap tensors = three_bits();
    tensors["p.biases"] = at::full({1, 1}, 1e6).to(at::kBFloat16);
    const auto opened = source::open_mlx(config_of(3, 32), stored_of(tensors));
    QVERIFY(opened->load("p.weight")[0][0].item<float>() > 9e5F);
    QVERIFY(!opened->codes()->contains("p"));
}

void MlxSourceTest::refusesConfigurations_data()
{
    QTest::addColumn<QByteArray>("config");
    QTest::addColumn<QString>("word");
    const auto row = [](const char* name, const char* config, const char* word) {
        QTest::newRow(name) << QByteArray(config) << QString(word);
    };
    row("mode", R"({"bits": 4, "group_size": 32, "mode": "mxfp4"})", "mode");
    row("mode of a layer", R"({"bits": 3, "group_size": 32, "p": {"mode": "nvfp4"}})", "nvfp4");
    row("width", R"({"bits": 7, "group_size": 32})", "bits");
    row("no width", R"({"group_size": 32})", "bits");
    row("no groups", R"({"bits": 3})", "group_size");
    row("text", R"({"bits": "3", "group_size": 32})", "bits");
}

void MlxSourceTest::refusesConfigurations()
{
    QFETCH(QByteArray, config);
    QFETCH(QString, word);
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({word.toStdString()}),
        source::open_mlx(parse_json(config.toStdString(), "test"), stored_of(three_bits())));
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"not an object"}),
        source::open_mlx(Json(4), stored_of(three_bits())));
}

void MlxSourceTest::refusesTensors_data()
{
    QTest::addColumn<std::string>("name");
    QTest::addColumn<at::Tensor>("values"); // undefined: removed
    const auto row = [](const char* title, const char* name, const at::Tensor& values) {
        QTest::newRow(title) << std::string(name) << values;
    };
    row("no scales", "p.scales", {});
    row("no biases", "p.biases", {});
    row("more groups", "p.scales", at::ones({1, 2}, at::kHalf));
    row("other biases", "p.biases", at::ones({1, 1}, at::kByte));
    row("half a run", "p.weight", at::zeros({1, 4}, at::kInt).view(at::kUInt32));
    row("more codes than groups", "p.weight", at::zeros({1, 12}, at::kInt).view(at::kUInt32));
    row("vector", "p.weight", at::zeros({3}, at::kInt).view(at::kUInt32));
}

void MlxSourceTest::refusesTensors()
{
    QFETCH(std::string, name);
    QFETCH(at::Tensor, values);
    TensorMap tensors = three_bits();
    tensors.erase(name);
    if (values.defined()) {
        tensors[name] = values;
        EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"p."}),
            source::open_mlx(config_of(3, 32), stored_of(tensors)));
    } else {
        EXPECT_ERROR(MissingTensor, EXPECT_WORDS({name}),
            source::open_mlx(config_of(3, 32), stored_of(tensors)));
    }
    tensors["p.weight"] = at::zeros({2, 1, 3}, at::kInt).view(at::kUInt32);
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({"p.weight", "stacked"}),
        source::open_mlx(config_of(3, 32), stored_of(tensors)));
}

BITSMITH_TEST(MlxSourceTest)
#include "mlx_source_test.moc"
