// SPDX-License-Identifier: GPL-3.0-or-later
#include "source/model_source.h"
#include "support/test_main.h"
#include "support/tiny_checkpoint.h"

#include <bitsmith/job.h>

#include <QtTest>

#include <algorithm>
#include <limits>

using namespace bitsmith;

namespace {

/// Rounds `tiny` into folders of `temp`.
JobSpec job(const TinyCheckpoint& tiny, const TempFolder& temp)
{
    JobSpec spec;
    spec.model.path = tiny.path();
    spec.scheme.scheme = "W4A16G32";
    spec.recipe = named_recipe("rtn");
    spec.exports.formats = {"auto_round"};
    spec.exports.output = (temp / "out").string();
    spec.runtime.run_dir = (temp / "run").string();
    return spec;
}

} // namespace

class WeightCheckTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void stopsBeforeTheWorkBegins_data();
    void stopsBeforeTheWorkBegins();
    void refusesExportsBeforeTheWorkBegins();
    void leavesLayersThatAreKeptByName();
};

void WeightCheckTest::stopsBeforeTheWorkBegins_data()
{
    QTest::addColumn<float>("value");
    QTest::newRow("NaN") << std::numeric_limits<float>::quiet_NaN();
    QTest::newRow("infinite") << -std::numeric_limits<float>::infinity();
}

void WeightCheckTest::stopsBeforeTheWorkBegins()
{
    QFETCH(float, value);
    const TinyCheckpoint tiny;
    tiny.edit_tensors([value](TinyCheckpoint::Tensors& tensors) {
        TinyCheckpoint::find(tensors, "model.layers.1.mlp.up_proj.weight")
            .select(0, 3)
            .fill_(value);
        TinyCheckpoint::find(tensors, "model.norm.weight")[5] = value;
    });
    const TempFolder temp;
    NullObserver silent;
    const Outcome outcome = run(job(tiny, temp), false, silent, {});
    QCOMPARE(outcome.state, JobState::Failed);
    QCOMPARE(outcome.error_code, ErrorCode::NumericFailure);
    for (const char* words :
        {"model.layers.1.mlp.up_proj.weight (64)", "model.norm.weight (1)", "tensors: 2"}) {
        QVERIFY2(outcome.message.find(words) != std::string::npos, outcome.message.c_str());
    }
    QVERIFY(!std::filesystem::exists(temp / "run"));
}

void WeightCheckTest::refusesExportsBeforeTheWorkBegins()
{
    const TinyCheckpoint tiny;
    tiny.edit_config([](Json& config) { config["hidden_act"] = "gelu"; });
    const TempFolder temp;
    JobSpec spec = job(tiny, temp);
    spec.scheme.scheme = "gguf:q4_0";
    spec.exports.formats = {"gguf"};
    NullObserver silent;
    const Outcome outcome = run(spec, false, silent, {});
    QCOMPARE(outcome.state, JobState::Failed);
    QCOMPARE(outcome.error_code, ErrorCode::UnsupportedModel);
    QVERIFY2(outcome.message.find("activation") != std::string::npos, outcome.message.c_str());
    QVERIFY(!std::filesystem::exists(temp / "run"));
}

void WeightCheckTest::leavesLayersThatAreKeptByName()
{
    const std::string layer = "model.layers.1.mlp.up_proj";
    const TinyCheckpoint tiny;
    tiny.edit_tensors([&layer](TinyCheckpoint::Tensors& tensors) {
        TinyCheckpoint::find(tensors, layer + ".weight")[3].fill_(
            std::numeric_limits<float>::quiet_NaN());
    });
    const TempFolder temp;
    NullObserver silent;
    JobSpec spec = job(tiny, temp);
    spec.scheme.keep = {"*up_proj"}; // a pattern could hit by accident
    Outcome outcome = run(spec, false, silent, {});
    QCOMPARE(outcome.error_code, ErrorCode::NumericFailure);
    QVERIFY2(outcome.message.find("--keep") != std::string::npos, outcome.message.c_str());
    spec.scheme.keep = {layer};
    outcome = run(spec, false, silent, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    const auto& warnings = outcome.report.warnings;
    QVERIFY(std::any_of(warnings.begin(), warnings.end(), [&layer](const std::string& text) {
        return text.starts_with(layer + ".weight holds 64 NaN");
    }));
    const auto exported = source::open_model(spec.exports.output);
    QVERIFY(exported->tensors->load(layer + ".weight")[3].isnan().all().item<bool>());
}

BITSMITH_TEST(WeightCheckTest)
#include "weight_check_test.moc"
