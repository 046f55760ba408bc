// SPDX-License-Identifier: GPL-3.0-or-later
// A layer whose numbers fail in a whole job (ahead.md 4.11): it stays as it is, everyone is told, and
// the export loads.
#include "source/model_source.h"
#include "support/test_main.h"
#include "unit/core/run/rounded_run.h"

#include <QtTest>

#include <algorithm>

using namespace bitsmith;

class KeptLayerTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void exportsARunWithAKeptLayer_data();
    void exportsARunWithAKeptLayer();
};

void KeptLayerTest::exportsARunWithAKeptLayer_data()
{
    QTest::addColumn<std::string>("scheme");
    QTest::addColumn<std::string>("format");
    QTest::newRow("auto_round") << std::string("W4A16G32") << std::string("auto_round");
    QTest::newRow("auto_awq") << std::string("W4A16G32_ASYM") << std::string("auto_awq");
    QTest::newRow("llm_compressor") << std::string("W4A16G32") << std::string("llm_compressor");
    QTest::newRow("gguf") << std::string("gguf:q4_0") << std::string("gguf");
}

void KeptLayerTest::exportsARunWithAKeptLayer()
{
    QFETCH(std::string, scheme);
    QFETCH(std::string, format);
    const std::string mlp = "model.layers.1.mlp.";
    const rounded_run::Model tiny;
    tiny.edit_tensors([&mlp](TinyCheckpoint::Tensors& tensors) {
        TinyCheckpoint::find(tensors, mlp + "up_proj.weight").mul_(1e8);
    });
    const TempFolder temp;
    JobSpec spec = rounded_run::spec(tiny.path(), scheme, temp / "run");
    spec.exports.formats = {format};
    spec.exports.output = (temp / "out").string();
    NullObserver silent;
    const Outcome outcome = run(spec, false, silent, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const std::string why = "the weight is too large for fp16 scales";
    QCOMPARE(outcome.report.deviations,
        (std::vector<std::string>{mlp + "gate_proj: stays at 16 bits: runtimes fuse it with " + mlp
                + "up_proj, where " + why,
            mlp + "up_proj: stays at 16 bits: " + why}));
    const auto& warnings = outcome.report.warnings;
    QVERIFY(std::find(warnings.begin(), warnings.end(), mlp + "up_proj stays at 16 bits: " + why)
        != warnings.end());
    // What the run holds is exported later, too.
    export_run(temp / "run", format, temp / "again", silent, {});
    if (format == "gguf") {
        return;
    }
    const auto original = source::open_model(tiny.path());
    for (const std::filesystem::path& folder : {temp / "out", temp / "again"}) {
        const auto exported = source::open_model(folder.string());
        for (const char* layer : {"up_proj.weight", "gate_proj.weight"}) {
            QVERIFY(at::equal(
                exported->tensors->load(mlp + layer), original->tensors->load(mlp + layer)));
        }
        QVERIFY(!at::equal(exported->tensors->load(mlp + "down_proj.weight").to(at::kFloat),
            original->tensors->load(mlp + "down_proj.weight").to(at::kFloat)));
    }
}

BITSMITH_TEST(KeptLayerTest)
#include "kept_layer_test.moc"
