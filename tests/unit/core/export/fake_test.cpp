// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/fake.h"
#include "export/marker.h"
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
using Written = test::WrittenExport<FakeExporter>;

class FakeTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writesDecodedValues_data();
    void writesDecodedValues();
    void keepsTheTypeOfTheSource();
    void describesAPlainModel();
    void saysWhatIsNotRepresented();
    void knowsItsFoldersByTheMarker();
    void unTiesAQuantizedHead();
    void findsAChangedByte();
    void findsADescriptionOfCodes();
    void refusesValuesBeyondFp16();
};

namespace {

const std::string kLayer = "model.layers.1.mlp.down_proj";

} // namespace

void FakeTest::writesDecodedValues_data()
{
    QTest::addColumn<Scheme>("scheme");
    for (const char* name : {"W2A16G32", "W4A16G32_ASYM", "W8A8", "FP8_STATIC", "FP8_BLOCK",
             "FPW8A16", "MXFP4", "MXINT4", "NVFP4", "NVFP4_E5M3", "gguf:q4_1"}) {
        QTest::newRow(name) << parse_scheme(name);
    }
}

void FakeTest::writesDecodedValues()
{
    QFETCH(Scheme, scheme);
    test::ExportModel model(test::llama_config());
    plan_encoded(model, scheme);
    QCOMPARE(FakeExporter().refusal(scheme), std::string());
    const Written written(model.input());
    const auto stored = written.stored();
    QCOMPARE(stored->entries().size(), model.tensors->entries().size());
    for (const auto& [name, weight] : model.layers.layers) {
        const at::Tensor expected = quant::codec_for(scheme).decode(weight).to(at::kBFloat16);
        const at::Tensor found = stored->load(name + ".weight");
        QCOMPARE(found.scalar_type(), at::kBFloat16);
        QVERIFY2(at::equal(found, expected), name.c_str());
    }
    QVERIFY(at::equal(stored->load("model.norm.weight"), model.tensors->load("model.norm.weight")));
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void FakeTest::keepsTheTypeOfTheSource()
{
    for (const auto& [word, type] :
        {std::pair{"float16", at::kHalf}, std::pair{"float32", at::kFloat}}) {
        Json config = test::llama_config();
        config["torch_dtype"] = word;
        test::ExportModel model(config, type);
        plan_encoded(model, parse_scheme("W4A16G32"));
        const Written written(model.input());
        QCOMPARE(written.stored()->load(kLayer + ".weight").scalar_type(), type);
        QCOMPARE(written.findings(model.input()), std::vector<std::string>());
    }
}

void FakeTest::describesAPlainModel()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G32"));
    const Written written(model.input());
    QCOMPARE(written.config(), test::llama_config());
    QCOMPARE(FakeExporter().verify(written.folder.path(), nullptr), std::vector<std::string>());
}

void FakeTest::saysWhatIsNotRepresented()
{
    const auto notes = [](const char* scheme, c10::ScalarType type) {
        test::ExportModel model(test::llama_config(), type);
        plan_encoded(model, parse_scheme(scheme));
        return FakeExporter().notes(model.input());
    };
    QCOMPARE(notes("W4A16G32", at::kFloat), std::vector<std::string>());
    const auto rounded = notes("W4A16G32", at::kBFloat16);
    QCOMPARE(rounded.size(), std::size_t(1));
    QVERIFY(rounded[0].find("rounded to BFloat16") != std::string::npos);
    const auto both = notes("W8A8", at::kBFloat16);
    QCOMPARE(both.size(), std::size_t(2));
    QVERIFY(both[1].find("activations") != std::string::npos);
}

void FakeTest::knowsItsFoldersByTheMarker()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G32"));
    const ExportInput input = model.input();
    const Written written(input);
    const FakeExporter exporter;
    QVERIFY(!exporter.recognizes(written.folder.path()));
    const std::string marker = build_marker(exporter, input, written.folder.path());
    written.folder.write(kMarkerFile, marker);
    QVERIFY(exporter.recognizes(written.folder.path()));
    Json other = parse_json(marker, kMarkerFile);
    other["format"] = "auto_round";
    written.folder.write(kMarkerFile, other.dump());
    QVERIFY(!exporter.recognizes(written.folder.path()));
}

void FakeTest::unTiesAQuantizedHead()
{
    Json llama = test::llama_config();
    llama["tie_word_embeddings"] = true;
    test::ExportModel model(llama);
    model.plan.layers.push_back({"lm_head", -1, 288, 64, keep_scheme(), "asked for"});
    plan_encoded(model, "lm_head", parse_scheme("W8A16G32"));
    const Written written(model.input());
    QCOMPARE(written.config()["tie_word_embeddings"], Json(false));
    QVERIFY(written.stored()->find("lm_head.weight") != nullptr);
    QVERIFY(written.stored()->find("model.embed_tokens.weight") != nullptr);
    QCOMPARE(written.findings(model.input()), std::vector<std::string>());
}

void FakeTest::findsAChangedByte()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G32"));
    const Written written(model.input());
    flip_byte(written.folder / "model.safetensors", kLayer + ".weight");
    flip_byte(written.folder / "model.safetensors", "model.norm.weight");
    QCOMPARE(written.findings(model.input()),
        (std::vector<std::string>{"tensor " + kLayer + ".weight differs from its tuned values",
            "tensor model.norm.weight differs from the source"}));
}

void FakeTest::findsADescriptionOfCodes()
{
    test::ExportModel model(test::llama_config());
    plan_encoded(model, parse_scheme("W4A16G32"));
    const Written written(model.input());
    Json config = written.config();
    config["quantization_config"] = {{"quant_method", "fp8"}};
    written.folder.write("config.json", config.dump());
    QCOMPARE(written.findings(model.input()).size(), std::size_t(1));
}

void FakeTest::refusesValuesBeyondFp16()
{
    test::ExportModel model(test::llama_config(), at::kHalf);
    plan_encoded(model, parse_scheme("W4A16G32"));
    model.layers.layers.find(kLayer)->second.scales.fill_(65504.0);
    EXPECT_ERROR(NumericFailure, EXPECT_WORDS({kLayer, "Half"}), Written(model.input()));
}

BITSMITH_TEST(FakeTest)
#include "fake_test.moc"
