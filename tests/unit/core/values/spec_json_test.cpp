// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/spec_json.h>

#include <QtTest>

#include <algorithm>

using namespace bitsmith;

class SpecJsonTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsBackWhatItWrote();
    void writesEveryFieldWithTheVersionFirst();
    void keepsDefaultsForAbsentKeys();
    void takesTheNumbersOfANamedRecipe();
    void collectsAllProblems();
    void refusesDocuments_data();
    void refusesDocuments();
    void readsBackReports();
    void writesTheShapeOfLayers();
};

namespace {

JobSpec changed_everywhere()
{
    JobSpec spec;
    spec.model.path = "folder with \"quotes\" and \n newline/модель";
    spec.scheme.scheme = "W2A16G32";
    spec.scheme.bits = 3;
    spec.scheme.sym = false;
    spec.scheme.overrides = {{"*v_proj", "W8A16"}, {"lm_head", "keep"}};
    spec.scheme.keep = {"layers.0"};
    spec.scheme.quant_lm_head = true;
    spec.recipe.name = "custom";
    spec.recipe.lr = 0.1; // no finite binary form: must read back equal
    spec.recipe.selection = Selection::Last;
    spec.calibration.packing = Packing::Filtered;
    spec.calibration.holdout = 1.0 / 3;
    spec.exports.formats = {"auto_round", "gguf"};
    spec.evaluation.metrics = {"kld"};
    spec.runtime.seed = 9000000000000000;
    spec.runtime.keep_inputs = false;
    return spec;
}

} // namespace

void SpecJsonTest::readsBackWhatItWrote()
{
    const JobSpec spec = changed_everywhere();
    QVERIFY(job_spec_from_json(to_json(spec), "test") == spec);
    QVERIFY(job_spec_from_json(to_json(JobSpec{}), "test") == JobSpec{});
}

void SpecJsonTest::writesEveryFieldWithTheVersionFirst()
{
    const std::string text = to_json(JobSpec{});
    QCOMPARE(text.substr(0, 26), std::string("{\n  \"schema_version\": 1,\n "));
    for (const char* key : {"\"group_size\": null", "\"minmax_lr\": null", "\"keep\": []",
             "\"selection\": \"holdout\"", "\"keep_inputs\": true", "\"holdout\": 0.125"}) {
        QVERIFY2(text.find(key) != std::string::npos, key);
    }
}

void SpecJsonTest::keepsDefaultsForAbsentKeys()
{
    const JobSpec spec = job_spec_from_json(R"({"model": {"path": "m"}})", "test");
    JobSpec expected;
    expected.model.path = "m";
    QVERIFY(spec == expected);
}

void SpecJsonTest::takesTheNumbersOfANamedRecipe()
{
    const JobSpec spec =
        job_spec_from_json(R"({"recipe": {"nsamples": 64, "name": "best"}})", "test");
    QCOMPARE(spec.recipe.iters, int64_t{1000});
    QCOMPARE(spec.recipe.nsamples, int64_t{64});
}

void SpecJsonTest::collectsAllProblems()
{
    try {
        job_spec_from_json(R"({"recipe": {"iters": -1, "seqlen": "long", "itres": 4,
            "selection": "worst", "lr": true}, "scheme": {"bits": 9, "overrides": [{"patern": 1}]},
            "runtime": 3})",
            "job.json");
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        const auto has = [&](const char* field, const char* part) {
            return std::any_of(error.context().begin(), error.context().end(), [&](const auto& c) {
                return c.first == field && c.second.find(part) != std::string::npos;
            });
        };
        QVERIFY(has("file", "job.json"));
        QVERIFY(has("recipe.iters", "found -1, allowed: a whole number, 0 to 100000 steps"));
        QVERIFY(has("recipe.seqlen", "found \"long\""));
        QVERIFY(has("recipe.itres", "did you mean iters?"));
        QVERIFY(has("recipe.selection", "last, holdout, minibatch"));
        QVERIFY(has("recipe.lr", "a number"));
        QVERIFY(has("scheme.bits", "2 to 8 bits"));
        QVERIFY(has("scheme.overrides[0].patern", "did you mean pattern?"));
        QVERIFY(has("runtime", "an object"));
        QCOMPARE(error.context().size(), std::size_t{9});
    }
}

void SpecJsonTest::refusesDocuments_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("a list") << QByteArray("[]");
    QTest::newRow("a newer version") << QByteArray(R"({"schema_version": 2})");
    QTest::newRow("a version in words") << QByteArray(R"({"schema_version": "1"})");
    QTest::newRow("an unknown section") << QByteArray(R"({"modle": {}})");
    QTest::newRow("an unknown recipe") << QByteArray(R"({"recipe": {"name": "bset"}})");
    QTest::newRow("a fraction of a step") << QByteArray(R"({"recipe": {"iters": 1.5}})");
    QTest::newRow("a huge number") << QByteArray(R"({"recipe": {"iters": 1e300}})");
    QTest::newRow("beyond 64 bits") << QByteArray(R"({"recipe": {"iters": 18446744073709551615}})");
    QTest::newRow("null for a number") << QByteArray(R"({"calibration": {"holdout": null}})");
}

void SpecJsonTest::refusesDocuments()
{
    QFETCH(QByteArray, text);
    try {
        job_spec_from_json(text.toStdString(), "job.json");
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY(std::string(error.what()).find("job.json") != std::string::npos);
    }
}

void SpecJsonTest::readsBackReports()
{
    Report report;
    report.run = "r";
    report.exports = {{"gguf", "out", 12345}};
    report.blocks = {{0, 3e-5, 2e-5, 1e-5, 200, 150, 1.5}};
    report.layers.push_back({"l", "W4A16", 4.156, 1e-7, 0.999, 20, 1e-3, std::nullopt});
    report.eval = EvalReport{};
    report.eval->kld_mean = 0.01;
    report.seconds.tune = 12;
    report.warnings = {"w"};
    const Report read = report_from_json(to_json(report), "test");
    QCOMPARE(to_json(read), to_json(report));
    QCOMPARE(read.blocks[0].loss, 1e-5);
    QVERIFY(!read.layers[0].out_sqnr_db);
    QVERIFY(!read.eval->ppl);
}

void SpecJsonTest::writesTheShapeOfLayers()
{
    ModelInfo info;
    info.layers.push_back({"a.b", 0, 96, 64, "BF16", 12288, true, "a.qkv"});
    QVERIFY(QString::fromStdString(to_json(info))
                .simplified()
                .contains(QLatin1String("\"shape\": [ 96, 64 ]")));
}

BITSMITH_TEST(SpecJsonTest)
#include "spec_json_test.moc"
