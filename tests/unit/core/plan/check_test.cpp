// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"

#include <bitsmith/check.h>
#include <bitsmith/spec_json.h>

#include <QtTest>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

using namespace bitsmith;

class CheckTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void findsNothingWrongWithADefaultJob();
    void reportsRules_data();
    void reportsRules();
    void namesFieldValueAndRange_data();
    void namesFieldValueAndRange();
    void namesTheLayersOfShortGroups();
    void acceptsPatternsThatNarrowEachOther();
    void putsErrorsFirst();
    void everyFixMakesItsFindingGoAway();
    void saysNothingAboutLayersWhileTheModelIsUnknown();
    void estimatesGrowWithSamplesAndShrinkWithBits();
};

namespace {

ModelInfo model()
{
    ModelInfo info;
    info.blocks = 1;
    info.hidden_size = 256;
    info.vocab_size = 1000;
    info.max_length = 4096;
    info.parameters = 256 * 256 * 3 + 1000 * 256;
    for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
        info.layers.push_back({std::string("model.layers.0.self_attn.") + name, 0, 256, 256, "BF16",
            256 * 256 * 2, true, "model.layers.0.qkv"});
    }
    info.layers.push_back({"lm_head", -1, 1000, 256, "BF16", 1000 * 256 * 2, false, ""});
    return info;
}

JobSpec job()
{
    JobSpec spec;
    spec.model.path = "/nowhere/model";
    return spec;
}

using Change = std::function<void(JobSpec&, ModelInfo&)>;
struct RuleCase
{
    const char* id;
    Severity severity;
    const char* field;
    Change change;
};

const std::vector<RuleCase>& cases()
{
    static const std::vector<RuleCase> list = {
        {"V01", Severity::Error, "model.path", [](auto& s, auto&) { s.model.path.clear(); }},
        {"V02", Severity::Error, "exports.formats",
            [](auto& s, auto&) { s.scheme.scheme = "gguf:q4_1"; }},
        {"V02", Severity::Error, "exports.formats",
            [](auto& s, auto&) { s.exports.formats = {"auto_ruond"}; }},
        {"V02", Severity::Error, "exports.formats",
            [](auto& s, auto& m) {
                s.exports.formats = {"mlx"};
                m.model_type = "mamba";
            }},
        {"V02", Severity::Error, "scheme.group_size", // short last groups
            [](auto& s, auto& m) {
                m.layers[0].columns = 576;
                s.exports.formats = {"llm_compressor"};
            }},
        {"V02", Severity::Error, "scheme.group_size",
            [](auto& s, auto& m) {
                m.layers[0].columns = 576;
                s.exports.formats = {"mlx"};
            }},
        {"V02", Severity::Error, "scheme.group_size",
            [](auto& s, auto& m) {
                m.layers[0].columns = 576;
                s.exports.formats = {"auto_awq"};
            }},
        {"V02", Severity::Error, "exports.formats", // one group per tensor
            [](auto& s, auto&) { s.scheme.group_size = 0; }},
        {"V03", Severity::Warning, "scheme.scheme",
            [](auto&, auto& m) { m.layers[0].columns = 40; }},
        {"V03", Severity::Warning, "scheme.group_size",
            [](auto&, auto& m) { m.layers[0].columns = 576; }},
        {"V04", Severity::Error, "scheme.group_size",
            [](auto& s, auto&) { s.scheme.group_size = 33; }},
        {"V05", Severity::Info, "scheme.scheme",
            [](auto& s, auto&) {
                s.scheme.scheme = "gguf:q4_0";
                s.scheme.bits = 3;
            }},
        {"V06", Severity::Info, "recipe.iters",
            [](auto& s, auto&) { s.scheme.scheme = "gguf:q4_0"; }},
        {"V07", Severity::Warning, "recipe.name",
            [](auto& s, auto&) { s.scheme.scheme = "W2A16"; }},
        {"V08", Severity::Warning, "recipe.name",
            [](auto& s, auto&) { s.recipe = named_recipe("light"); }},
        {"V13", Severity::Warning, "exports.formats",
            [](auto& s, auto&) { s.scheme.scheme = "W3A16"; }},
        {"V14", Severity::Warning, "scheme.quant_lm_head",
            [](auto& s, auto&) { s.scheme.quant_lm_head = true; }},
        {"V14", Severity::Error, "scheme.quant_lm_head",
            [](auto& s, auto& m) {
                s.scheme.quant_lm_head = true;
                m.tied_head = true;
            }},
        {"V15", Severity::Error, "recipe.nsamples", [](auto& s, auto&) { s.recipe.nsamples = 0; }},
        {"V15", Severity::Error, "calibration.dataset",
            [](auto& s, auto&) { s.calibration.dataset = "a.txt:split=train"; }},
        {"V16", Severity::Warning, "recipe.selection",
            [](auto& s, auto&) { s.calibration.holdout = 0; }},
        {"V17", Severity::Warning, "recipe.batch_size",
            [](auto& s, auto&) { s.recipe.batch_size = 129; }},
        {"V17", Severity::Warning, "recipe.seqlen", [](auto& s, auto&) { s.recipe.seqlen = 8192; }},
        {"V24", Severity::Warning, "evaluation.text",
            [](auto& s, auto&) {
                s.calibration.dataset = "a.txt,b.txt";
                s.evaluation.text = "b.txt";
                s.evaluation.metrics = {"kld"};
            }},
        {"V24", Severity::Warning, "evaluation.text",
            [](auto& s, auto&) {
                s.calibration.dataset = "a.txt,b.txt:num=4";
                s.evaluation.text = "b.txt";
                s.evaluation.metrics = {"kld"};
            }},
        {"V25", Severity::Info, "scheme.keep[0]",
            [](auto& s, auto&) { s.scheme.keep = {"nothing"}; }},
        {"V25", Severity::Info, "scheme.overrides[0].pattern", // must be named in full
            [](auto& s, auto&) {
                s.scheme.overrides = {{"lm_h*", "W8A16"}};
            }},
        {"V25", Severity::Info, "scheme.overrides[0].pattern", // everything
            [](auto& s, auto&) {
                s.scheme.overrides = {{"*", "W8A16"}};
            }},
        {"V25", Severity::Error, "scheme.overrides[0].pattern",
            [](auto& s, auto&) {
                s.scheme.overrides = {{"v_proj", "W8A16"}, {"*_proj", "W2A16"}};
            }},
        {"V25", Severity::Error, "scheme.overrides[0].pattern", // each layer by another rule
            [](auto& s, auto&) {
                s.scheme.overrides = {{"*_proj", "W8A16"}, {"q_proj", "W2A16"}, {"k_proj", "W3A16"},
                    {"v_proj", "W4A16"}};
            }},
        {"V25", Severity::Error, "scheme.overrides[0].pattern",
            [](auto& s, auto&) {
                s.scheme.overrides = {{"v_proj", "W8A16"}};
                s.scheme.keep = {"v_proj"};
            }},
        {"V26", Severity::Warning, "scheme.overrides",
            [](auto& s, auto&) {
                s.scheme.overrides = {{"v_proj", "W8A16"}};
            }},
        {"V27", Severity::Info, "exports.formats",
            [](auto& s, auto&) {
                s.exports.formats = {"auto_round", "gguf"};
            }},
        {"V28", Severity::Error, "recipe.iters", [](auto& s, auto&) { s.recipe.iters = -1; }},
        {"V28", Severity::Error, "recipe.lr", [](auto& s, auto&) { s.recipe.lr = std::nan(""); }},
        {"V28", Severity::Error, "recipe.lr", [](auto& s, auto&) { s.recipe.lr = 0; }},
        {"V28", Severity::Error, "recipe.lr", [](auto& s, auto&) { s.recipe.lr = 1e9; }},
        {"V28", Severity::Error, "recipe.seqlen", [](auto& s, auto&) { s.recipe.seqlen = 0; }},
        {"V28", Severity::Error, "recipe.nsamples", [](auto& s, auto&) { s.recipe.nsamples = -1; }},
        {"V28", Severity::Error, "recipe.batch_size",
            [](auto& s, auto&) { s.recipe.batch_size = 0; }},
        {"V28", Severity::Error, "scheme.bits", [](auto& s, auto&) { s.scheme.bits = 0; }},
        {"V28", Severity::Error, "scheme.bits", [](auto& s, auto&) { s.scheme.bits = 1; }},
        {"V28", Severity::Error, "scheme.bits", [](auto& s, auto&) { s.scheme.bits = 9; }},
        {"V28", Severity::Error, "scheme.group_size",
            [](auto& s, auto&) { s.scheme.group_size = -2; }},
        {"V29", Severity::Error, "scheme.scheme",
            [](auto& s, auto&) { s.scheme.scheme = "W4A17"; }},
        {"V29", Severity::Error, "scheme.overrides[0].scheme",
            [](auto& s, auto&) {
                s.scheme.overrides = {{"v_proj", "W4A17"}};
            }},
        {"V30", Severity::Warning, "exports.formats",
            [](auto& s, auto&) { s.exports.formats.clear(); }},
        {"V31", Severity::Warning, "scheme.scheme", [](auto& s, auto&) { s.scheme.keep = {"*"}; }},
        {"V32", Severity::Error, "evaluation.metrics",
            [](auto& s, auto&) { s.evaluation.metrics = {"pppl"}; }},
        {"V33", Severity::Error, "evaluation.text",
            [](auto& s, auto&) {
                s.recipe = named_recipe("rtn");
                s.evaluation.metrics = {"kld"};
            }},
        {"V34", Severity::Error, "runtime.device",
            [](auto& s, auto&) { s.runtime.device = "gpu"; }},
        {"V35", Severity::Error, "exports.output",
            [](auto& s, auto&) { s.exports.output = "/nowhere/model/../model/out/"; }},
        {"V36", Severity::Info, "model.path", [](auto&, auto& m) { m.quantization = "gptq"; }},
        {"V37", Severity::Error, "recipe.start",
            [](auto& s, auto&) {
                s.recipe.start = Start::Compensated;
                s.scheme.scheme = "MXFP4";
            }},
        {"V39", Severity::Error, "scheme.scheme",
            [](auto& s, auto&) {
                s.scheme.scheme = "MXFP4";
                s.scheme.bits = 3;
            }},
        {"V39", Severity::Error, "scheme.scheme",
            [](auto& s, auto&) {
                s.scheme.overrides = {{"v_proj", "bits=4,act_bits=8,act_data_type=nv_fp"}};
            }},
        {"V38", Severity::Error, "recipe.name",
            [](auto& s, auto&) {
                s.scheme.scheme = "FP8_STATIC";
                s.recipe = named_recipe("rtn");
            }},
        {"V40", Severity::Error, "recipe.static_kv_dtype",
            [](auto& s, auto&) { s.recipe.static_kv_dtype = CacheType::Fp8; }}, // auto_round
        {"V40", Severity::Error, "recipe.static_kv_dtype",
            [](auto& s, auto&) {
                s.recipe = named_recipe("rtn");
                s.recipe.static_kv_dtype = CacheType::Fp8;
                s.exports.formats = {"llm_compressor"};
            }},
        {"V37", Severity::Error, "recipe.nsamples",
            [](auto& s, auto&) {
                s.recipe = named_recipe("gptq");
                s.recipe.nsamples = 0;
            }},
        {"V44", Severity::Error, "recipe.smoothing",
            [](auto& s, auto&) {
                s.recipe = named_recipe("rtn");
                s.recipe.smoothing = Smoothing::Awq;
            }},
        {"V44", Severity::Warning, "recipe.smoothing",
            [](auto& s, auto&) {
                s.scheme.scheme = "MXFP4";
                s.recipe.smoothing = Smoothing::Awq;
            }},
        {"V45", Severity::Error, "recipe.objective",
            [](auto& s, auto&) {
                s.recipe = named_recipe("rtn");
                s.recipe.objective = Objective::Fisher;
            }},
        {"V45", Severity::Error, "recipe.objective",
            [](auto& s, auto&) {
                apply_reference_mode(s);
                s.recipe.objective = Objective::Fisher;
            }},
        {"V46", Severity::Info, "recipe.nsamples",
            [](auto& s, auto&) { s.recipe = named_recipe("opt_rtn"); }},
        {"V41", Severity::Error, "calibration.imatrix",
            [](auto& s, auto&) { s.calibration.imatrix = "/nowhere/imatrix.gguf"; }},
        {"V41", Severity::Warning, "recipe.start",
            [](auto& s, auto&) {
                s.calibration.imatrix = "imatrix.gguf";
                s.recipe.start = Start::MinMax;
            }},
        {"V41", Severity::Warning, "recipe.start",
            [](auto& s, auto&) {
                s.calibration.imatrix = "imatrix.gguf";
                s.recipe = named_recipe("gptq");
            }},
    };
    return list;
}

const Issue* find(const std::vector<Issue>& issues, const RuleCase& rule)
{
    const auto found = std::find_if(issues.begin(), issues.end(),
        [&](const Issue& issue) { return issue.id == rule.id && issue.field == rule.field; });
    return found == issues.end() ? nullptr : &*found;
}

} // namespace

void CheckTest::findsNothingWrongWithADefaultJob()
{
    const ModelInfo info = model();
    const auto issues = check(job(), &info);
    QVERIFY2(issues.empty(), issues.empty() ? "" : issues.front().message.c_str());
}

void CheckTest::reportsRules_data()
{
    QTest::addColumn<int>("index");
    for (std::size_t i = 0; i < cases().size(); ++i) {
        QTest::addRow("%s %s %d", cases()[i].id, cases()[i].field, static_cast<int>(i))
            << static_cast<int>(i);
    }
}

void CheckTest::reportsRules()
{
    QFETCH(int, index);
    const RuleCase& rule = cases()[static_cast<std::size_t>(index)];
    JobSpec spec = job();
    ModelInfo info = model();
    rule.change(spec, info);
    const auto issues = check(spec, &info);
    const Issue* issue = find(issues, rule);
    QVERIFY(issue != nullptr);
    QCOMPARE(issue->severity, rule.severity);
    QVERIFY(!issue->message.empty());
}

void CheckTest::namesFieldValueAndRange_data()
{
    QTest::addColumn<std::string>("field");
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("words");
    const auto row = [](const char* field, double value, const char* words) {
        QTest::addRow("%s %g", field, value) << std::string(field) << value << QString(words);
    };
    row("iters", -3, "recipe.iters is -3; allowed: 0");
    row("seqlen", 0, "recipe.seqlen is 0; allowed: 1");
    row("batch_size", 0, "recipe.batch_size is 0; allowed: 1");
    row("lr", 100, "recipe.lr is 100; allowed: 0 to 10");
    row("bits", 1, "scheme.bits is 1; allowed: 2");
    row("group_size", -2, "scheme.group_size is -2; allowed: -1");
}

void CheckTest::namesFieldValueAndRange()
{
    QFETCH(std::string, field);
    QFETCH(double, value);
    QFETCH(QString, words);
    JobSpec spec = job();
    const auto whole = static_cast<int64_t>(value);
    const std::map<std::string, std::function<void()>> set = {
        {"iters", [&] { spec.recipe.iters = whole; }},
        {"seqlen", [&] { spec.recipe.seqlen = whole; }},
        {"batch_size", [&] { spec.recipe.batch_size = whole; }},
        {"lr", [&] { spec.recipe.lr = value; }}, {"bits", [&] { spec.scheme.bits = whole; }},
        {"group_size", [&] { spec.scheme.group_size = whole; }}};
    set.at(field)();
    const auto issues = check(spec, nullptr);
    QVERIFY(std::any_of(issues.begin(), issues.end(), [&words](const Issue& issue) {
        return issue.id == "V28" && QString::fromStdString(issue.message).startsWith(words);
    }));
}

void CheckTest::namesTheLayersOfShortGroups()
{
    JobSpec spec = job();
    ModelInfo info = model();
    info.layers[1].columns = 576;
    spec.exports.formats = {"llm_compressor"};
    const auto issues = check(spec, &info);
    QCOMPARE(issues.front().id, std::string("V02"));
    QCOMPARE(issues.front().message,
        std::string("Format llm_compressor cannot hold 1 layers: "
                    "model.layers.0.self_attn.k_proj [256, 576]; readers take only layers of whole "
                    "groups: columns in multiples of 128. Keep these layers, or use smaller "
                    "groups."));
    QCOMPARE(issues.front().fix_value, std::string("64"));
    // Layers narrower than a group have one group per row; the layout of GPTQ has short groups.
    info.layers[1].columns = 64;
    QCOMPARE(check(spec, &info).front().id, std::string("V03"));
    info.layers[1].columns = 576;
    spec.exports.formats = {"auto_round"};
    QCOMPARE(check(spec, &info).front().id, std::string("V03"));
}

void CheckTest::acceptsPatternsThatNarrowEachOther()
{
    JobSpec spec = job();
    const ModelInfo info = model();
    spec.scheme.overrides = {{"*_proj", "W8A16"}, {"v_proj", "W2A16"}, {"v_proj", "W2A16"}};
    spec.scheme.keep = {"q_proj", "self_attn.q_proj"};
    for (const Issue& issue : check(spec, &info)) {
        QVERIFY2(issue.id != "V25", issue.message.c_str());
    }
}

void CheckTest::putsErrorsFirst()
{
    JobSpec spec = job();
    spec.scheme.scheme = "W2A16"; // a warning of an early rule
    spec.model.path.clear(); // an error of a late one
    const auto issues = check(spec, nullptr);
    QVERIFY(issues.size() >= 2);
    QVERIFY(std::is_sorted(issues.begin(), issues.end(),
        [](const Issue& a, const Issue& b) { return a.severity < b.severity; }));
    QCOMPARE(issues.front().id, std::string("V01"));
}

void CheckTest::everyFixMakesItsFindingGoAway()
{
    int fixes = 0;
    for (const RuleCase& rule : cases()) {
        JobSpec spec = job();
        ModelInfo info = model();
        rule.change(spec, info);
        const auto issues = check(spec, &info);
        const Issue* issue = find(issues, rule);
        if (issue == nullptr || issue->fix_value.empty()) {
            continue;
        }
        ++fixes;
        set_field(spec, issue->field, issue->fix_value);
        QVERIFY2(find(check(spec, &info), rule) == nullptr, rule.id);
    }
    QVERIFY(fixes >= 10);
}

void CheckTest::saysNothingAboutLayersWhileTheModelIsUnknown()
{
    JobSpec spec = job();
    spec.scheme.keep = {"nothing"};
    QVERIFY(check(spec, nullptr).empty());
}

void CheckTest::estimatesGrowWithSamplesAndShrinkWithBits()
{
    const ModelInfo info = model();
    JobSpec spec = job();
    const Estimate four = estimate(spec, info, build_plan(spec, info));
    QCOMPARE(four.average_bits, 4 + 20.0 / 128);
    // Three layers at 4.16 bits and 16 bits for the rest.
    const double expected = 3 * 256 * 256 * (4 + 20.0 / 128) / 8 + 1000 * 256 * 2;
    QVERIFY(std::abs(static_cast<double>(four.export_bytes) - expected) < 2);
    spec.recipe.nsamples *= 2;
    const Estimate more = estimate(spec, info, build_plan(spec, info));
    const int64_t chain = 128LL * 2048 * 256 * 4;
    QCOMPARE(more.peak_host_bytes - four.peak_host_bytes, 4 * chain);
    spec.scheme.scheme = "W2A16";
    QVERIFY(estimate(spec, info, build_plan(spec, info)).export_bytes < four.export_bytes);

    // Without steps eight samples do, but for compensated rounding, which keeps the 16-bit inputs of
    // the three layers as well.
    spec.recipe.nsamples = 32;
    spec.recipe.iters = 0;
    const Estimate plain = estimate(spec, info, build_plan(spec, info));
    spec.recipe.start = Start::Compensated;
    const Estimate compensated = estimate(spec, info, build_plan(spec, info));
    QCOMPARE(compensated.peak_host_bytes - plain.peak_host_bytes,
        4 * (32 - 8) * 2048LL * 256 * 4 + 32LL * 2048 * 3 * 256 * 2);
}

BITSMITH_TEST(CheckTest)
#include "check_test.moc"
