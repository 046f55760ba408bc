// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/model_source.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "unit/core/run/rounded_run.h"

#include <QtTest>

using namespace bitsmith;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kLayers = 14; ///< linear layers of the tiny model's two blocks
const std::string kOneLayer = "model.layers.1.mlp.up_proj";

/// The model rounded to `scheme` in `format`; one layer to another scheme if it is named.
std::string rounded(const rounded_run::Model& model, const TempFolder& temp,
    const std::string& scheme, const std::string& format, const std::string& one_layer = {})
{
    JobSpec spec = rounded_run::spec(model.path(), scheme, temp / "run");
    if (!one_layer.empty()) {
        spec.scheme.overrides = {{kOneLayer, one_layer}};
    }
    spec.exports.formats = {format};
    spec.exports.output = (temp / "rounded").string();
    rounded_run::finish(spec);
    return spec.exports.output;
}

fs::path gguf_in(const fs::path& folder)
{
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".gguf") {
            return entry.path();
        }
    }
    return {};
}

ConvertReport convert(const std::string& model, const std::string& format, const std::string& type,
    const fs::path& output)
{
    NullObserver silent;
    return convert_model({model, format, type, output}, silent, {});
}

/// Empty: every tensor of `expected` is in `found` with the same values once it is of `type`.
std::string difference(const source::ModelSource& found, const source::ModelSource& expected,
    c10::ScalarType type, const std::function<bool(const std::string&)>& counts)
{
    int64_t compared = 0;
    for (const tensor::TensorEntry& entry : expected.tensors->entries()) {
        if (!counts(entry.name)) {
            continue;
        }
        ++compared;
        const at::Tensor wanted = expected.tensors->load(entry.name).to(type).to(at::kFloat);
        if (!at::equal(found.tensors->load(entry.name).to(at::kFloat), wanted)) {
            return entry.name;
        }
    }
    return compared >= kLayers ? "" : "too few tensors";
}

bool is_linear(const std::string& tensor)
{
    return tensor.find("_proj.weight") != std::string::npos;
}

bool is_any(const std::string&)
{
    return true;
}

} // namespace

class ConvertTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void takesCodesOverAsTheyAre_data();
    void takesCodesOverAsTheyAre();
    void refusesCodesThatAFormatCannotHold();
    void countsTheLayersThatAreRefused();
    void decodesToAPlainFolder_data();
    void decodesToAPlainFolder();
    void decodesToAPlainGguf();
    void writesAPlainModelAsGguf();
    void refusesWhatMakesNoSense_data();
    void refusesWhatMakesNoSense();
    void refusesValuesBeyondHalfPrecision();
    void takesRoundedInputsOver_data();
    void takesRoundedInputsOver();
    void saysWhenRoundingOfInputsIsLost_data();
    void saysWhenRoundingOfInputsIsLost();
    void saysWhatWasDoneAsOneDocument();
};

void ConvertTest::takesCodesOverAsTheyAre_data()
{
    QTest::addColumn<std::string>("scheme");
    QTest::addColumn<std::string>("from");
    QTest::addColumn<std::string>("format");
    const auto row = [](const char* name, const char* scheme, const char* from, const char* to) {
        QTest::newRow(name) << std::string(scheme) << std::string(from) << std::string(to);
    };
    row("4 bits to GGUF", "W4A16G32", "auto_round", "gguf");
    row("4 bits in wide groups to GGUF", "W4A16G64", "auto_round", "gguf");
    row("8 bits to GGUF", "W8A16G32", "auto_round", "gguf");
    row("to compressed-tensors", "W4A16G32", "auto_round", "llm_compressor");
    row("with zero points, to the same format", "W4A16G32_ASYM", "auto_round", "auto_round");
    row("MXFP4 from MLX", "MXFP4A16", "mlx", "llm_compressor");
    row("MXFP8 from MLX", "MXFP8A16", "mlx", "llm_compressor");
    row("MXFP8 to MLX", "MXFP8A16", "llm_compressor", "mlx");
}

void ConvertTest::takesCodesOverAsTheyAre()
{
    QFETCH(std::string, scheme);
    QFETCH(std::string, from);
    QFETCH(std::string, format);
    const rounded_run::Model tiny;
    const TempFolder temp;
    const std::string model = rounded(tiny, temp, scheme, from);
    const ConvertReport report = convert(model, format, "", temp / "out");
    QCOMPARE(report.format, format);
    QCOMPARE(report.model, model);
    QCOMPARE(report.layers, kLayers);
    QVERIFY(report.bytes > 0);
    QCOMPARE(verify_export(temp / "out", {}), std::vector<std::string>());
    const fs::path opened = format == "gguf" ? gguf_in(temp / "out") : temp / "out";
    QCOMPARE(difference(*source::open_model(opened.string()), *source::open_model(model),
                 at::kFloat, is_linear),
        std::string());
}

void ConvertTest::refusesCodesThatAFormatCannotHold()
{
    const rounded_run::Model tiny;
    const TempFolder temp;
    const std::string model = rounded(tiny, temp, "W4A16G32_ASYM", "auto_round");
    EXPECT_ERROR(UnsupportedScheme,
        EXPECT_WORDS({"gguf", "model.layers.0.self_attn.q_proj", "W4A16G32_ASYM", "14 of 14",
            "--type bf16"}),
        convert(model, "gguf", "", temp / "out"));
    QVERIFY(!fs::exists(temp / "out"));
}

void ConvertTest::countsTheLayersThatAreRefused()
{
    const rounded_run::Model tiny;
    const TempFolder temp;
    const std::string model = rounded(tiny, temp, "W4A16G32", "auto_round", "W4A16G32_ASYM");
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({kOneLayer, "1 of 14"}),
        convert(model, "gguf", "", temp / "out"));
}

void ConvertTest::decodesToAPlainFolder_data()
{
    QTest::addColumn<std::string>("from");
    QTest::addColumn<std::string>("type");
    QTest::addColumn<std::string>("word");
    for (const char* from : {"auto_round", "gguf"}) {
        for (const auto& [type, word] :
            {std::pair{"bf16", "BF16"}, std::pair{"f16", "F16"}, std::pair{"f32", "F32"}}) {
            QTest::addRow("%s to %s", from, type)
                << std::string(from) << std::string(type) << std::string(word);
        }
    }
}

void ConvertTest::decodesToAPlainFolder()
{
    QFETCH(std::string, from);
    QFETCH(std::string, type);
    QFETCH(std::string, word);
    const rounded_run::Model tiny;
    const TempFolder temp;
    std::string model = rounded(tiny, temp, "W4A16G32", from);
    model = from == "gguf" ? gguf_in(model).string() : model;
    const ConvertReport report = convert(model, type, "", temp / "out");
    QCOMPARE(report.format, std::string("fake"));
    QCOMPARE(report.layers, int64_t{0});
    const auto plain = source::open_model((temp / "out").string());
    QCOMPARE(plain->info.quantization, std::string());
    for (const tensor::TensorEntry& entry : plain->tensors->entries()) {
        QCOMPARE(entry.dtype, word);
    }
    const c10::ScalarType element = plain->tensors->load("model.norm.weight").scalar_type();
    QCOMPARE(difference(*plain, *source::open_model(model), element, is_any), std::string());
    const Json config = read_json_file(temp / "out" / "config.json");
    QVERIFY(!config.contains("quantization_config"));
    // Opening corrects a configuration that contradicts the weights, and says so.
    for (const std::string& warning : plain->info.warnings) {
        QVERIFY2(warning.find("dtype") == std::string::npos, warning.c_str());
    }
}

void ConvertTest::decodesToAPlainGguf()
{
    const rounded_run::Model tiny;
    const TempFolder temp;
    const std::string model = rounded(tiny, temp, "W2A16G32_ASYM", "auto_round");
    const ConvertReport report = convert(model, "gguf", "f16", temp / "out");
    QCOMPARE(report.layers, int64_t{0});
    const fs::path file = gguf_in(temp / "out");
    QVERIFY2(file.filename().string().ends_with("-F16.gguf"), file.c_str());
    const auto plain = source::open_model(file.string());
    QCOMPARE(plain->info.quantization, std::string());
    QCOMPARE(difference(*plain, *source::open_model(model), at::kHalf, is_linear), std::string());
}

void ConvertTest::writesAPlainModelAsGguf()
{
    const rounded_run::Model tiny;
    const TempFolder temp;
    convert(tiny.path(), "gguf", "", temp / "out");
    const auto plain = source::open_model(gguf_in(temp / "out").string());
    QCOMPARE(plain->tensors->find(kOneLayer + ".weight")->dtype, std::string("BF16"));
    QCOMPARE(
        difference(*plain, *source::open_model(tiny.path()), at::kFloat, is_any), std::string());
}

void ConvertTest::refusesWhatMakesNoSense_data()
{
    QTest::addColumn<std::string>("format");
    QTest::addColumn<std::string>("type");
    QTest::addColumn<ErrorCode>("code");
    QTest::addColumn<std::string>("words");
    const auto row = [](const char* name, const char* format, const char* type, ErrorCode code,
                         const char* words) {
        QTest::newRow(name) << std::string(format) << std::string(type) << code
                            << std::string(words);
    };
    row("unknown format", "nonsense", "", ErrorCode::UnsupportedFormat, "auto_round");
    row("unknown type", "gguf", "f64", ErrorCode::InvalidSpec, "bf16, f16, f32");
    row("type that GGUF matrices do not get", "gguf", "f32", ErrorCode::InvalidSpec, "bf16, f16");
    row("type for a format of codes", "auto_round", "bf16", ErrorCode::InvalidSpec,
        "quantized layers");
    row("two types", "bf16", "f16", ErrorCode::InvalidSpec, "none beside");
    row("codes of a plain model", "auto_round", "", ErrorCode::InvalidSpec, "not quantized");
}

void ConvertTest::refusesWhatMakesNoSense()
{
    QFETCH(std::string, format);
    QFETCH(std::string, type);
    QFETCH(ErrorCode, code);
    QFETCH(std::string, words);
    const rounded_run::Model tiny;
    const TempFolder temp;
    QCOMPARE(unexpected(code, {words}, [&] { convert(tiny.path(), format, type, temp / "out"); }),
        std::string());
    QVERIFY(!fs::exists(temp / "out"));
}

void ConvertTest::refusesValuesBeyondHalfPrecision()
{
    const rounded_run::Model tiny;
    const TempFolder temp;
    tiny.edit_tensors([](TinyCheckpoint::Tensors& tensors) {
        TinyCheckpoint::find(tensors, kOneLayer + ".weight")[3][5] = 1e6;
    });
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({kOneLayer + ".weight", "65504"}),
        convert(tiny.path(), "f16", "", temp / "out"));
    QVERIFY(!fs::exists(temp / "out"));
    convert(tiny.path(), "f32", "", temp / "out");
}

void ConvertTest::takesRoundedInputsOver_data()
{
    QTest::addColumn<std::string>("scheme");
    QTest::addColumn<std::string>("from");
    QTest::addColumn<std::string>("to");
    const auto row = [](const char* scheme, const char* from, const char* to) {
        QTest::addRow("%s from %s to %s", scheme, from, to)
            << std::string(scheme) << std::string(from) << std::string(to);
    };
    row("W8A8", "llm_compressor", "llm_compressor");
    row("FP8_BLOCK", "fp8", "llm_compressor");
    row("FP8_BLOCK", "llm_compressor", "auto_round");
    row("FP8_BLOCK", "auto_round", "fp8");
    row("MXFP4", "auto_round", "llm_compressor");
    row("MXFP8", "llm_compressor", "auto_round");
    row("NVFP4_E5M3", "auto_round", "auto_round");
}

void ConvertTest::takesRoundedInputsOver()
{
    QFETCH(std::string, scheme);
    QFETCH(std::string, from);
    QFETCH(std::string, to);
    const rounded_run::Model tiny({.hidden = 192, .inner = 256}); // several tiles in every layer
    const TempFolder temp;
    const std::string model = rounded(tiny, temp, scheme, from);
    const ConvertReport report = convert(model, to, "", temp / "out");
    QCOMPARE(report.deviations, std::vector<std::string>());
    QCOMPARE(report.layers, kLayers);
    const auto converted = source::open_model((temp / "out").string());
    for (const auto& [name, found] : converted->coded->schemes()) {
        QVERIFY2(found == parse_scheme(scheme), scheme_name(found).c_str());
    }
    QCOMPARE(
        difference(*converted, *source::open_model(model), at::kFloat, is_linear), std::string());
}

void ConvertTest::saysWhenRoundingOfInputsIsLost_data()
{
    QTest::addColumn<std::string>("scheme");
    QTest::addColumn<std::string>("format");
    QTest::newRow("decoded") << std::string("FP8_DYNAMIC") << std::string("bf16");
    QTest::newRow("codes of another format") << std::string("W8A8") << std::string("auto_gptq");
}

void ConvertTest::saysWhenRoundingOfInputsIsLost()
{
    QFETCH(std::string, scheme);
    QFETCH(std::string, format);
    const rounded_run::Model tiny;
    const TempFolder temp;
    const std::string model = rounded(tiny, temp, scheme, "llm_compressor");
    const ConvertReport report = convert(model, format, "", temp / "out");
    QCOMPARE(report.deviations.size(), std::size_t(1));
    const std::string& deviation = report.deviations.front();
    QVERIFY2(deviation.find("13 more layers: ") != std::string::npos, deviation.c_str());
    QVERIFY(source::open_model((temp / "out").string())->runtime == nullptr);
}

void ConvertTest::saysWhatWasDoneAsOneDocument()
{
    const Json json =
        parse_json(document(ConvertReport{"m", "gguf", "/out", 7, 3, {"p: lost"}}), "test");
    QCOMPARE(json,
        Json({{"model", "m"}, {"format", "gguf"}, {"path", "/out"}, {"bytes", 7}, {"layers", 3},
            {"deviations", {"p: lost"}}}));
}

BITSMITH_TEST(ConvertTest)
#include "convert_test.moc"
