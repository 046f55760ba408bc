// SPDX-License-Identifier: GPL-3.0-or-later
#include "args.h"
#include "support/test_main.h"

#include <bitsmith/error.h>
#include <bitsmith/spec_json.h>

#include <QTemporaryDir>
#include <QtTest>

#include <algorithm>
#include <fstream>

using namespace bitsmith;

class ArgsTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void readsFlags_data();
    void readsFlags();
    void offersAFlagForEveryField();
    void describesFlagsWithDefaultRangeAndChoices();
    void putsRecipeBelowFileBelowFlags();
    void aRecipeFillsOnlyWhatNoFlagSays();
    void readsLayerConfigurations();
    void refusesLayerConfigurations_data();
    void refusesLayerConfigurations();
    void refusesValuesWithTheFieldNamed();
    void theLastOfTwoContradictingFlagsWins();
    void changesTheDetailsOfARun();

private:
    QTemporaryDir m_folder;
    std::string file(const char* name, const char* text)
    {
        const std::string path = m_folder.filePath(QString::fromLatin1(name)).toStdString();
        std::ofstream(path, std::ios::binary) << text;
        return path;
    }
};

namespace {

JobSpec parse(std::vector<std::string> arguments)
{
    CLI::App app;
    const auto flags = cli::add_spec_flags(app);
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
    return cli::build_spec(*flags);
}

std::string help()
{
    CLI::App app;
    cli::add_spec_flags(app);
    return app.help();
}

} // namespace

void ArgsTest::readsFlags_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QString>("field");
    QTest::addColumn<QString>("value");
    const auto row = [](const char* name, const QStringList& arguments, const char* field,
                         const char* value) {
        QTest::newRow(name) << arguments << QString::fromLatin1(field)
                            << QString::fromLatin1(value);
    };
    row("model", {"some/model"}, "model.path", "some/model");
    row("dashes", {"--group-size", "64"}, "scheme.group_size", "64");
    row("underscores", {"--group_size=64"}, "scheme.group_size", "64");
    row("negative value", {"--group-size", "-1"}, "scheme.group_size", "-1");
    row("switch on", {"--sym"}, "scheme.sym", "true");
    row("switch off", {"--no-sym"}, "scheme.sym", "false");
    row("reference's switch off", {"--asym"}, "scheme.sym", "false");
    row("tuning switch off", {"--disable_minmax_tuning"}, "recipe.enable_minmax_tuning", "false");
    row("recipe", {"--recipe", "light"}, "recipe.lr", "0.005");
    row("formats", {"--format", "auto_round,gguf"}, "exports.formats", "auto_round,gguf");
    row("output", {"--output_dir", "out"}, "exports.output", "out");
    row("metrics", {"--eval", "kld,ppl"}, "evaluation.metrics", "kld,ppl");
    row("window of the evaluation", {"--eval-seqlen", "256"}, "evaluation.seqlen", "256");
    row("window of the calibration", {"--seqlen", "256"}, "recipe.seqlen", "256");
    row("choice", {"--selection", "last"}, "recipe.selection", "last");
    row("weights of the loss", {"--objective", "fisher"}, "recipe.objective", "fisher");
    row("calibration", {"--calibration", "filtered"}, "calibration.packing", "filtered");
    row("rules", {"--override", "*v_proj=W8A16", "--override", "a=keep"}, "scheme.overrides",
        "*v_proj=W8A16;a=keep");
    row("any field", {"--set", "runtime.seed=7"}, "runtime.seed", "7");
    row("reference mode", {"--reference-mode"}, "recipe.selection", "minibatch");
    row("flag above reference mode", {"--selection", "last", "--reference-mode"},
        "recipe.selection", "last");
    row("seed", {"--seed", "1"}, "runtime.seed", "1");
    row("head", {"--quant-lm-head"}, "scheme.quant_lm_head", "true");
    row("run folder", {"--run-dir", "r"}, "runtime.run_dir", "r");
    row("size of files", {"--max-gguf-gb", "4.5"}, "exports.max_gguf_gb", "4.5");
    row("author", {"--author", "Ada L."}, "exports.author", "Ada L.");
}

void ArgsTest::readsFlags()
{
    QFETCH(QStringList, arguments);
    QFETCH(QString, field);
    QFETCH(QString, value);
    std::vector<std::string> list;
    for (const QString& argument : arguments) {
        list.push_back(argument.toStdString());
    }
    std::string found;
    for (const auto& [path, text] : list_fields_of(parse(list))) {
        if (path == field.toStdString()) {
            found = text;
        }
    }
    QCOMPARE(QString::fromStdString(found), value);
}

void ArgsTest::offersAFlagForEveryField()
{
    const std::string text = help();
    for (const auto& [path, value] : list_fields_of(JobSpec{})) {
        static const std::map<std::string, std::string> own = {{"model.path", "--model"},
            {"scheme.overrides", "--override"}, {"recipe.name", "--recipe"},
            {"calibration.prefix", "--calibration-prefix"}, {"exports.formats", "--format"},
            {"evaluation.metrics", "--eval"}, {"evaluation.text", "--eval-text"},
            {"evaluation.tokens", "--eval-tokens"}, {"evaluation.seqlen", "--eval-seqlen"}};
        const auto named = own.find(path);
        std::string flag =
            named != own.end() ? named->second : "--" + path.substr(path.find('.') + 1);
        std::replace(flag.begin(), flag.end(), '_', '-');
        QVERIFY2(text.find(flag) != std::string::npos, flag.c_str());
    }
}

void ArgsTest::describesFlagsWithDefaultRangeAndChoices()
{
    const std::string text = help();
    for (const char* part : {"N (0 to 100000 steps)", "[200]", "last|holdout|minibatch",
             "tuning steps per block", "[auto]", "X (0 to 10)"}) {
        QVERIFY2(text.find(part) != std::string::npos, part);
    }
}

void ArgsTest::putsRecipeBelowFileBelowFlags()
{
    const std::string job = file("job.json", R"({"recipe": {"nsamples": 64, "batch_size": 2},
        "model": {"path": "m"}})");
    const JobSpec spec = parse({"--spec", job, "--batch-size", "3", "--recipe", "best"});
    QCOMPARE(spec.recipe.iters, int64_t{1000});
    QCOMPARE(spec.recipe.nsamples, int64_t{64});
    QCOMPARE(spec.recipe.batch_size, int64_t{3});
    QCOMPARE(spec.model.path, std::string("m"));
}

void ArgsTest::aRecipeFillsOnlyWhatNoFlagSays()
{
    const JobSpec spec = parse({"--iters", "7", "--recipe", "best"});
    QCOMPARE(spec.recipe.iters, int64_t{7});
    QCOMPARE(spec.recipe.nsamples, int64_t{512});
    QCOMPARE(spec.recipe.name, std::string("best"));
}

void ArgsTest::readsLayerConfigurations()
{
    const std::string path = file("layers.json", R"({"model.layers.0.q": "w8a16",
        ".*v_proj": {"bits": 2, "sym": false}, "k_proj": {"scheme": "W3A16", "group_size": 32},
        "lm_head": {"bits": 16}})");
    const auto rules = parse({"--layer-config", path, "--group-size", "64"}).scheme.overrides;
    QCOMPARE(rules.size(), std::size_t{4});
    QVERIFY(rules[0] == (Override{"model.layers.0.q", "W8A16"}));
    QVERIFY(rules[1] == (Override{"*v_proj", "W2A16G64_ASYM"}));
    QVERIFY(rules[2] == (Override{"k_proj", "W3A16G32"}));
    QVERIFY(rules[3] == (Override{"lm_head", "BF16"}));
}

void ArgsTest::refusesLayerConfigurations_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QString>("part");
    QTest::newRow("list") << QByteArray("[]") << "object";
    QTest::newRow("typo") << QByteArray(R"({"a": {"bitz": 4}})") << "bits";
    QTest::newRow("scheme") << QByteArray(R"({"a": "W4A17"})") << "W4A16";
    QTest::newRow("regular expression") << QByteArray(R"x({"a(b|c)": "W4A16"})x") << "a(b|c)";
    QTest::newRow("number") << QByteArray(R"({"a": 4})") << "found: 4";
}

void ArgsTest::refusesLayerConfigurations()
{
    QFETCH(QByteArray, text);
    QFETCH(QString, part);
    try {
        parse({"--layer-config", file("bad.json", text.constData())});
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY2(
            std::string(error.what()).find(part.toStdString()) != std::string::npos, error.what());
    }
}

void ArgsTest::refusesValuesWithTheFieldNamed()
{
    try {
        parse({"--iters", "many"});
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY(std::string(error.what()).find("recipe.iters") != std::string::npos);
    }
    QVERIFY_EXCEPTION_THROWN(parse({"--override", "v_proj"}), Error);
    QVERIFY_EXCEPTION_THROWN(parse({"--override", "v_proj=W4A17"}), Error);
    QVERIFY_EXCEPTION_THROWN(parse({"--no-such-flag"}), CLI::ParseError);
}

void ArgsTest::theLastOfTwoContradictingFlagsWins()
{
    QCOMPARE(parse({"--sym", "--no-sym"}).scheme.sym.value(), false);
    QCOMPARE(parse({"--no-sym", "--sym"}).scheme.sym.value(), true);
}

void ArgsTest::changesTheDetailsOfARun()
{
    CLI::App app;
    const auto flags = cli::add_detail_flags(app);
    app.parse(std::vector<std::string>{"mit", "--license", "1.5", "--max-shard-gb"});
    JobSpec run;
    run.exports.author = "Ada";
    run.exports.license = "other";
    JobSpec expected = run;
    expected.exports.license = "mit";
    expected.exports.max_shard_gb = 1.5;
    QVERIFY(cli::build_spec(*flags, run) == expected);
    QVERIFY(app.help().find("[5]") == std::string::npos); // the run says what is otherwise taken
}

BITSMITH_TEST(ArgsTest)
#include "args_test.moc"
