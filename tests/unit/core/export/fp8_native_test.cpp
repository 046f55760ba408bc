// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/fp8_native.h"
#include "export/fp8_native_layout.h"
#include "support/encoded_plan.h"
#include "support/expect_error.h"
#include "support/flip_byte.h"
#include "support/test_main.h"
#include "support/written_export.h"

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
using test::plan_encoded;
using Written = test::WrittenExport<Fp8NativeExporter>;

class Fp8NativeTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesTheExample();
    void writesTiles();
    void writesOneScalePerTensor();
    void splitsWideLayersIntoTiles();
    void describesTiles();
    void warnsOfHalfQuantizedUnits();
    void refusesOtherSchemes();
    void refusesSeveralSchemes();
    void opensAsAModel();
    void findsAChangedByte();
    void findsAnotherConfiguration();
    void wantsTheLargestActivation();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj"; // 64 x 96

/// One scale for the weight, activations per tensor with a calibrated scale.
Scheme per_tensor_static()
{
    Scheme scheme = parse_scheme("FP8_STATIC");
    scheme.group_size = kGroupPerTensor;
    return scheme;
}

/// 64 x 192: two tiles, the second one half as wide.
void widen(test::ExportModel& model)
{
    model.tensors->remove(kLayer + ".weight");
    model.tensors->add(kLayer + ".weight", at::randn({64, 192}).to(at::kBFloat16));
    for (PlannedLayer& layer : model.plan.layers) {
        layer.columns = layer.name == kLayer ? 192 : layer.columns;
    }
}

} // namespace

void Fp8NativeTest::writesTheExample()
{
    const Scheme scheme = parse_scheme("FP8_BLOCK");
    at::Tensor values = at::zeros({128, 128});
    values[0][0] = -224.0F;
    values[5][7] = 1.0F;
    const quant::QuantizedWeight weight = quant::codec_for(scheme).encode(values, scheme, {});
    test::ExportModel model(test::llama_config());
    model.plan.layers = {{"p", 0, 128, 128, scheme, "the example"}};
    model.layers.layers.emplace("p", weight);
    const ExportInput input = model.input();
    Fp8Packer packer(input);
    const at::Tensor codes =
        packer.produce({"p.weight", Fp8Part::Codes, "p", {128, 128}, at::kFloat8_e4m3fn});
    QCOMPARE(codes.view(at::kByte)[5][7].item<int>(), 0x40);
    QCOMPARE(codes.view(at::kByte)[0][0].item<int>(), 0xFE);
    const at::Tensor scale =
        packer.produce({"p.weight_scale_inv", Fp8Part::Scale, "p", {1, 1}, at::kFloat});
    QCOMPARE(scale.item<float>(), 0.5F);
}

void Fp8NativeTest::writesTiles()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    const Written written(model.input());
    const auto stored = written.stored();
    for (const auto& [name, weight] : model.layers.layers) {
        const at::Tensor codes = stored->load(name + ".weight");
        const at::Tensor scale = stored->load(name + ".weight_scale_inv");
        QCOMPARE(codes.scalar_type(), at::kFloat8_e4m3fn);
        QCOMPARE(scale.scalar_type(), at::kFloat);
        QCOMPARE(scale.sizes().vec(), (std::vector<int64_t>{1, 1}));
        QVERIFY2(
            at::equal(codes.to(at::kFloat) * scale, quant::codec_for(weight.scheme).decode(weight)),
            name.c_str());
        QVERIFY(stored->find(name + ".input_scale") == nullptr);
    }
    QCOMPARE(stored->load("lm_head.weight").scalar_type(), at::kBFloat16);
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void Fp8NativeTest::writesOneScalePerTensor()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, per_tensor_static());
    const Written written(model.input());
    const auto stored = written.stored();
    QCOMPARE(stored->find(kLayer + ".weight_scale")->shape, std::vector<int64_t>{1});
    QVERIFY(stored->find(kLayer + ".weight_scale_inv") == nullptr);
    QCOMPARE(stored->load(kLayer + ".input_scale").item<float>(), 3.5F / 448.0F);
    QCOMPARE(written.quantization()["activation_scheme"], Json("static"));
    QVERIFY(!written.quantization().contains("weight_block_size"));
    const auto notes = Fp8NativeExporter().notes(model.input());
    QVERIFY(notes.front().find("the largest of their scales") != std::string::npos);
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void Fp8NativeTest::splitsWideLayersIntoTiles()
{
    test::ExportModel model(test::llama_config());
    widen(model);
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    const Written written(model.input());
    const auto stored = written.stored();
    const at::Tensor scale = stored->load(kLayer + ".weight_scale_inv");
    QCOMPARE(scale.sizes().vec(), (std::vector<int64_t>{1, 2}));
    const quant::QuantizedWeight& weight = model.layers.layers.find(kLayer)->second;
    const at::Tensor decoded = quant::codec_for(weight.scheme).decode(weight);
    const at::Tensor codes = stored->load(kLayer + ".weight").to(at::kFloat);
    QVERIFY(at::equal(codes.narrow(1, 128, 64) * scale[0][1], decoded.narrow(1, 128, 64)));
    const auto notes = Fp8NativeExporter().notes(model.input());
    QCOMPARE(notes.size(), std::size_t(1));
    QVERIFY(notes[0].find("no multiples of 128") != std::string::npos);
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void Fp8NativeTest::describesTiles()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    model.plan_layer(kLayer, keep_scheme());
    const Json expected = {{"quant_method", "fp8"}, {"fmt", "e4m3"},
        {"activation_scheme", "dynamic"}, {"weight_block_size", {128, 128}},
        {"modules_to_not_convert", {kLayer, "lm_head"}}};
    QCOMPARE(fp8_native_config(model.input()), expected);
}

void Fp8NativeTest::warnsOfHalfQuantizedUnits()
{
    test::ExportModel model(test::llama_config());
    for (LayerInfo& layer : model.model.info.layers) {
        if (layer.name.starts_with("model.layers.0.mlp.") && !layer.name.ends_with("down_proj")) {
            layer.unit = "model.layers.0.mlp.gate_up";
        }
    }
    const auto warns = [&] {
        for (const std::string& note : Fp8NativeExporter().notes(model.input())) {
            if (note.find("model.layers.0.mlp.gate_up") != std::string::npos) {
                return true;
            }
        }
        return false;
    };
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    QVERIFY(!warns());
    model.plan_layer("model.layers.0.mlp.gate_proj", keep_scheme());
    QVERIFY(warns());
    model.plan_layer("model.layers.0.mlp.up_proj", keep_scheme());
    QVERIFY(!warns());
}

void Fp8NativeTest::refusesOtherSchemes()
{
    const Fp8NativeExporter exporter;
    QCOMPARE(exporter.refusal(keep_scheme()), std::string());
    QCOMPARE(exporter.refusal(parse_scheme("FP8_BLOCK")), std::string());
    QCOMPARE(exporter.refusal(per_tensor_static()), std::string());
    for (const char* name :
        {"W4A16", "W8A8", "MXFP8", "NVFP4", "FP8_STATIC", "FP8_DYNAMIC", "FPW8A16"}) {
        QVERIFY2(!exporter.refusal(parse_scheme(name)).empty(), name);
    }
    Scheme tiles = parse_scheme("FP8_BLOCK");
    tiles.group_rows = 64;
    QVERIFY(exporter.refusal(tiles).find("128 x 128") != std::string::npos);
    tiles = parse_scheme("FP8_BLOCK");
    tiles.act_group_size = kGroupPerRow;
    QVERIFY(exporter.refusal(tiles).find("groups of 128") != std::string::npos);
}

void Fp8NativeTest::refusesSeveralSchemes()
{
    test::ExportModel model(test::llama_config());
    EXPECT_ERROR(
        UnsupportedScheme, EXPECT_WORDS({"no quantized layer"}), fp8_layout(model.input()));
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    plan_encoded(model, kLayer, per_tensor_static());
    EXPECT_ERROR(UnsupportedScheme, EXPECT_WORDS({kLayer, "FP8_BLOCK"}), fp8_layout(model.input()));
}

void Fp8NativeTest::opensAsAModel()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    const Written written(model.input());
    QVERIFY(Fp8NativeExporter().recognizes(written.folder.path()));
    QCOMPARE(
        Fp8NativeExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

void Fp8NativeTest::findsAChangedByte()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    const Written written(model.input());
    flip_byte(written.folder / "model.safetensors", kLayer + ".weight");
    flip_byte(written.folder / "model.safetensors", "model.norm.weight");
    const auto findings = written.findings(model.input());
    QCOMPARE(findings.size(), std::size_t(2));
    QVERIFY(findings[0].find(kLayer) != std::string::npos);
    QVERIFY(findings[1].find("model.norm.weight") != std::string::npos);
}

void Fp8NativeTest::findsAnotherConfiguration()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("FP8_BLOCK"));
    const Written written(model.input());
    Json config = written.config();
    config["quantization_config"]["modules_to_not_convert"] = Json::array();
    written.folder.write("config.json", config.dump());
    QCOMPARE(written.findings(model.input()).size(), std::size_t(1));
}

void Fp8NativeTest::wantsTheLargestActivation()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, kLayer, per_tensor_static());
    model.layers.layers.find(kLayer)->second.input_max = at::Tensor();
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({kLayer, "calibration"}), Written(model.input()));
}

BITSMITH_TEST(Fp8NativeTest)
#include "fp8_native_test.moc"
