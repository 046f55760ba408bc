// SPDX-License-Identifier: GPL-3.0-or-later
// Jobs whose model is quantized already: what it decodes to is what gets quantized.
#include "export/gguf/gguf_exporter.h"
#include "quant/codec.h"
#include "source/model_source.h"
#include "support/test_main.h"
#include "unit/core/run/rounded_run.h"

#include <QtTest>

using namespace bitsmith;

namespace {

/// Every layer has several tiles of 128 x 128.
constexpr source::TinyModelShape kShape{.hidden = 192, .inner = 256};

/// Rounds `model` into the folder `name` of `temp`; the folder of the export, or its GGUF file.
std::string rounded(const std::string& model, const std::string& scheme, const std::string& format,
    const TempFolder& temp, const std::string& name)
{
    JobSpec spec = rounded_run::spec(model, scheme, temp / (name + "-run"));
    spec.exports.formats = {format};
    spec.exports.output = (temp / name).string();
    rounded_run::finish(spec);
    return format == "gguf" ? exporting::gguf_file_in(spec.exports.output).string()
                            : spec.exports.output;
}

} // namespace

class QuantizedSourceTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void quantizesWhatIsQuantized_data();
    void quantizesWhatIsQuantized();
};

void QuantizedSourceTest::quantizesWhatIsQuantized_data()
{
    QTest::addColumn<QString>("scheme");
    QTest::addColumn<QString>("format");
    QTest::newRow("FP8 in tiles") << "FP8_BLOCK"
                                  << "fp8";
    QTest::newRow("FP8 by rows") << "FP8_DYNAMIC"
                                 << "llm_compressor";
    QTest::newRow("MXFP4") << "MXFP4"
                           << "auto_round";
    QTest::newRow("MLX") << "W4A16G64"
                         << "mlx";
    QTest::newRow("GPTQ") << "W8A16G64"
                          << "auto_gptq";
    QTest::newRow("GGUF") << "gguf:q8_0"
                          << "gguf";
}

void QuantizedSourceTest::quantizesWhatIsQuantized()
{
    QFETCH(QString, scheme);
    QFETCH(QString, format);
    const TinyCheckpoint tiny(kShape);
    const TempFolder temp;
    const std::string first =
        rounded(tiny.path(), scheme.toStdString(), format.toStdString(), temp, "first");
    const std::string second = rounded(first, "W4A16G32", "auto_round", temp, "second");
    const auto before = source::open_model(first), after = source::open_model(second);
    const Scheme four = parse_scheme("W4A16G32");
    const quant::Codec& codec = quant::codec_for(four);
    int64_t layers = 0;
    for (const LayerInfo& layer : after->info.layers) {
        const std::string weight = layer.name + ".weight";
        if (after->coded == nullptr || !after->coded->contains(layer.name)) {
            continue;
        }
        ++layers;
        // Layers have the element type that config.json names.
        const at::Tensor decoded = before->tensors->load(weight).to(at::kBFloat16).to(at::kFloat);
        QVERIFY2(at::equal(after->tensors->load(weight), codec.fake_quantize(decoded, four, {})),
            weight.c_str());
    }
    QCOMPARE(layers, int64_t{14});
}

BITSMITH_TEST(QuantizedSourceTest)
#include "quantized_source_test.moc"
