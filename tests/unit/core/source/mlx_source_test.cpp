// SPDX-License-Identifier: GPL-3.0-or-later
#include "coded_check.h"
#include "source/mlx_source.h"
#include "support/encoded_plan.h"
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
    void readsMicroscalingTypes_data();
    void readsMicroscalingTypes();
    void takesValuesOfSingleLayers();
    void takesModesOfSingleLayers();
    void readsExperts_data();
    void readsExperts();
    void refusesExperts();
    void hasNoCodesForOtherNumbers();
    void fillsRulesWithDefaults();
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

Json config_of(int64_t bits, int64_t group, const char* mode = "affine")
{
    return {{"group_size", group}, {"bits", bits}, {"mode", mode}};
}

const char* mode_of(const Scheme& scheme)
{
    return scheme.data_type != DataType::MxFp ? "affine" : scheme.bits == 4 ? "mxfp4" : "mxfp8";
}

/// The tensors of the module `name`; `weight` is of integers with minima, or MX.
void add_module(TensorMap& tensors, const std::string& name, const quant::QuantizedWeight& weight)
{
    tensors[name + ".weight"] = stream(weight.codes, weight.scheme.bits);
    tensors[name + ".scales"] = weight.scales;
    if (weight.zeros.defined()) {
        tensors[name + ".biases"] = weight.zeros;
    }
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

void MlxSourceTest::readsMicroscalingTypes_data()
{
    QTest::addColumn<std::string>("name");
    QTest::newRow("MXFP4") << std::string("MXFP4A16");
    QTest::newRow("MXFP8") << std::string("MXFP8A16");
}

void MlxSourceTest::readsMicroscalingTypes()
{
    QFETCH(std::string, name);
    at::manual_seed(5);
    const Scheme scheme = parse_scheme(name);
    const quant::QuantizedWeight weight = test::encoded_weight(scheme, 3, 64);
    TensorMap tensors;
    add_module(tensors, "p", weight);
    const auto opened =
        source::open_mlx(config_of(scheme.bits, 32, mode_of(scheme)), stored_of(tensors));
    QVERIFY(same_bits(opened->load("p.weight"), quant::codec_for(scheme).decode(weight)));
    QCOMPARE(opened->find("p.weight")->dtype, name.substr(0, 5));
    QCOMPARE(opened->entries().size(), std::size_t(1));
    QVERIFY(opened->codes()->schemes().at("p") == scheme);
    QVERIFY(at::equal(opened->codes()->load("p").codes, weight.codes));
    QVERIFY(at::equal(opened->codes()->load("p").scales, weight.scales));
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

// mlx takes a rule of a layer as it is: what it lacks is not that of the common one.
void MlxSourceTest::takesModesOfSingleLayers()
{
    at::manual_seed(6);
    const Scheme mx = parse_scheme("MXFP4A16");
    TensorMap tensors = three_bits();
    add_module(tensors, "q", test::encoded_weight(mx, 2, 32));
    add_module(tensors, "r", test::encoded_weight(mx, 2, 32));
    Json config = config_of(4, 32, "mxfp4");
    config["p"] = {{"group_size", 32}, {"bits", 3}};
    config["r"] = true;
    const auto common = source::open_mlx(config, stored_of(tensors));
    QCOMPARE(common->find("p.weight")->dtype, std::string("INT3"));
    QCOMPARE(common->find("q.weight")->dtype, std::string("MXFP4"));
    QCOMPARE(common->find("r.weight")->dtype, std::string("MXFP4"));
    config = config_of(3, 32);
    config["q"] = config["r"] = config_of(4, 32, "mxfp4");
    const auto own = source::open_mlx(config, stored_of(tensors));
    for (const char* layer : {"p.weight", "q.weight", "r.weight"}) {
        QVERIFY(same_bits(own->load(layer), common->load(layer)));
    }
}

void MlxSourceTest::readsExperts_data()
{
    QTest::addColumn<std::string>("module");
    QTest::addColumn<std::string>("expert"); // the second one
    QTest::addColumn<std::string>("scheme");
    const auto row = [](const char* module, const char* expert) {
        for (const char* scheme : {"gguf:q4_1", "MXFP4A16", "MXFP8A16"}) {
            QTest::addRow("%s, %s", module, scheme)
                << std::string("b.") + module << std::string("b.") + expert << std::string(scheme);
        }
    };
    row("mlp.switch_mlp.gate_proj", "mlp.experts.1.gate_proj");
    row("mlp.switch_mlp.down_proj", "mlp.experts.1.down_proj");
    row("mlp.experts.up_proj", "mlp.experts.1.up_proj");
    row("block_sparse_moe.switch_mlp.gate_proj", "block_sparse_moe.experts.1.w1");
    row("block_sparse_moe.switch_mlp.up_proj", "block_sparse_moe.experts.1.w3");
    row("block_sparse_moe.switch_mlp.down_proj", "block_sparse_moe.experts.1.w2");
}

void MlxSourceTest::readsExperts()
{
    QFETCH(std::string, module);
    QFETCH(std::string, expert);
    QFETCH(std::string, scheme);
    at::manual_seed(7);
    std::vector<TensorMap> parts(3);
    std::vector<quant::QuantizedWeight> weights;
    for (TensorMap& own : parts) {
        weights.push_back(test::encoded_weight(parse_scheme(scheme), 4, 64));
        add_module(own, module, weights.back());
        own[module + ".bias"] = at::randn({4});
    }
    TensorMap tensors;
    for (const auto& [name, values] : parts.front()) {
        tensors[name] = at::stack({values, parts[1].at(name), parts[2].at(name)});
    }
    const int64_t bits = weights[1].scheme.bits;
    Json config = config_of(6, 64); // the stack has a rule of its own
    config[module] = config_of(bits, 32, mode_of(weights[1].scheme));
    const auto opened = source::open_mlx(config, stored_of(tensors));
    QCOMPARE(opened->entries().size(), std::size_t(6));
    QCOMPARE(opened->find(expert + ".weight")->shape, (std::vector<int64_t>{4, 64}));
    QVERIFY(same_bits(
        opened->load(expert + ".weight"), quant::codec_for(weights[1].scheme).decode(weights[1])));
    QVERIFY(at::equal(opened->load(expert + ".bias"), parts[1].at(module + ".bias")));
    QCOMPARE(opened->codes()->schemes().size(), std::size_t(3));
    QVERIFY(at::equal(opened->codes()->load(expert).codes, weights[1].codes));
    QCOMPARE(different_layer(*opened), std::string());
    config[module] = false;
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({module + ".weight"}),
        source::open_mlx(config, stored_of(tensors)));
    // Without codes the experts are read apart all the same.
    const auto plain = source::open_mlx(
        config, stored_of({{module + ".weight", at::ones({3, 4, 64}, at::kBFloat16)}}));
    QCOMPARE(plain->load(expert + ".weight").sizes().vec(), (std::vector<int64_t>{4, 64}));
}

void MlxSourceTest::refusesExperts()
{
    const std::string stack = "b.mlp.switch_mlp.up_proj", expert = "b.mlp.experts.1.up_proj";
    const auto weights = [](std::vector<int64_t> shape) {
        return at::zeros(shape, at::kInt).view(at::kUInt32);
    };
    const auto scales = [](int64_t experts) { return at::ones({experts, 2, 1}, at::kHalf); };
    const auto open = [](const TensorMap& tensors) {
        source::open_mlx(config_of(4, 32), stored_of(tensors));
    };
    TensorMap tensors = {{stack + ".weight", weights({2, 2, 4})}, {stack + ".scales", scales(2)},
        {stack + ".biases", scales(2)}};
    open(tensors);
    tensors[stack + ".scales"] = scales(1);
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({expert + ".scales"}), open(tensors));
    tensors[stack + ".scales"] = at::ones({2}, at::kHalf);
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({stack + ".scales", "experts"}), open(tensors));
    tensors[stack + ".scales"] = scales(2);
    tensors[expert + ".weight"] = weights({2, 4});
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({expert + ".weight", "twice"}), open(tensors));
}

void MlxSourceTest::hasNoCodesForOtherNumbers()
{
    TensorMap tensors = three_bits();
    tensors["p.biases"] = at::full({1, 1}, 1e6).to(at::kBFloat16);
    const auto opened = source::open_mlx(config_of(3, 32), stored_of(tensors));
    QVERIFY(opened->load("p.weight")[0][0].item<float>() > 9e5F);
    QVERIFY(!opened->codes()->contains("p"));
}

// mlx-lm writes null where mlx shall decide; rules of layers take nothing from the common one.
void MlxSourceTest::fillsRulesWithDefaults()
{
    const auto check = [](const char* config, DataType type, int64_t bits, int64_t group) {
        const Scheme found = source::mlx_scheme(parse_json(config, "test"), "p");
        return found.data_type == type && found.bits == bits && found.group_size == group;
    };
    constexpr auto kAffine = DataType::IntFloatZero, kMx = DataType::MxFp;
    QVERIFY(check(R"({"group_size": 128, "bits": 3})", kAffine, 3, 128));
    QVERIFY(check(R"({"group_size": null, "bits": 3})", kAffine, 3, 64));
    QVERIFY(check(
        R"({"group_size": 128, "bits": 4, "p": {"group_size": null, "bits": 3}})", kAffine, 3, 64));
    QVERIFY(check(R"({"group_size": 128, "bits": 2, "p": {}})", kAffine, 4, 64));
    QVERIFY(check(R"({"group_size": 128, "bits": 2, "p": {"mode": "mxfp4"}})", kMx, 4, 32));
    QVERIFY(check(R"({"mode": "mxfp8", "group_size": null, "bits": null})", kMx, 8, 32));
}

void MlxSourceTest::refusesConfigurations_data()
{
    QTest::addColumn<QByteArray>("config");
    QTest::addColumn<QString>("word");
    const auto row = [](const char* name, const char* config, const char* word) {
        QTest::newRow(name) << QByteArray(config) << QString(word);
    };
    row("mode", R"({"bits": 4, "group_size": 16, "mode": "nvfp4"})", "mxfp4");
    row("width of MX", R"({"bits": 8, "group_size": 32, "mode": "mxfp4"})", "bits");
    row("groups of MX", R"({"bits": 4, "group_size": 16, "mode": "mxfp4"})", "group_size");
    row("mode of a layer", R"({"bits": 3, "group_size": 32, "p": {"mode": "nvfp4"}})", "nvfp4");
    row("width", R"({"bits": 7, "group_size": 32})", "bits");
    row("no groups", R"({"bits": 4, "group_size": 0})", "group_size");
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
