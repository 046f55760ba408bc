// SPDX-License-Identifier: GPL-3.0-or-later
// The command line as a process: help, lists, messages, exit codes.
#include "base/file_ops.h"
#include "source/tiny_model.h"
#include "support/test_main.h"

#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>

#include <nlohmann/json.hpp>

#include <fstream>

class CliTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void hasHelpForEveryCommand_data();
    void hasHelpForEveryCommand();
    void listsEveryTopic_data();
    void listsEveryTopic();
    void refusesWrongUsage_data();
    void refusesWrongUsage();
    void printsErrorsAsOneDocument_data();
    void printsErrorsAsOneDocument();
    void printsTheJobFileItWouldRun();
    void readsBackItsOwnJobFile();
    void listsNoRunsInAnEmptyFolder();
    void endsWithItsOwnCodeWhenALayerCannotGetWhatWasAsked();
    void roundsAModelWithoutATokenizer();
    void saysWhatPatternsTakeBeforeTheStart();

private:
    struct Result
    {
        int code = -1;
        QByteArray out, err;
    };
    Result run(const QStringList& arguments) const
    {
        QProcess process;
        auto environment = QProcessEnvironment::systemEnvironment();
        environment.insert(QStringLiteral("BITSMITH_RUNS"), m_folder.path());
        process.setProcessEnvironment(environment);
        process.start(m_program, arguments);
        if (!process.waitForFinished(60'000) || process.exitStatus() != QProcess::NormalExit) {
            return {-1, process.readAllStandardOutput(), process.readAllStandardError()};
        }
        return {
            process.exitCode(), process.readAllStandardOutput(), process.readAllStandardError()};
    }

    QString m_program;
    QTemporaryDir m_folder;
};

void CliTest::initTestCase()
{
    m_program = qEnvironmentVariable("BITSMITH_CLI");
    if (m_program.isEmpty()) {
        QSKIP("BITSMITH_CLI does not name the program");
    }
}

void CliTest::hasHelpForEveryCommand_data()
{
    QTest::addColumn<QStringList>("command");
    for (const char* name : {"inspect", "quantize", "demo", "export", "convert", "imatrix", "eval",
             "generate", "trace", "verify", "runs", "list"}) {
        QTest::newRow(name) << QStringList{QString::fromLatin1(name)};
    }
    for (const char* name : {"list", "show", "follow", "delete"}) {
        QTest::addRow("runs %s", name)
            << QStringList{QStringLiteral("runs"), QString::fromLatin1(name)};
    }
    QTest::newRow("program") << QStringList{};
}

void CliTest::hasHelpForEveryCommand()
{
    QFETCH(QStringList, command);
    const Result result = run(command + QStringList{QStringLiteral("--help")});
    QCOMPARE(result.code, 0);
    QVERIFY(result.out.contains("--help"));
    QVERIFY(result.err.isEmpty());
}

void CliTest::listsEveryTopic_data()
{
    QTest::addColumn<QString>("topic");
    for (const char* topic :
        {"schemes", "formats", "recipes", "families", "tasks", "datasets", "devices"}) {
        QTest::newRow(topic) << QString::fromLatin1(topic);
    }
}

void CliTest::listsEveryTopic()
{
    QFETCH(QString, topic);
    const Result text = run({QStringLiteral("list"), topic});
    QCOMPARE(text.code, 0);
    QVERIFY(text.out.count('\n') >= 2);
    const Result json = run({QStringLiteral("list"), topic, QStringLiteral("--json")});
    QCOMPARE(json.code, 0);
    const auto document = nlohmann::json::parse(json.out.toStdString());
    QVERIFY(!document.at(topic.toStdString()).empty());
}

void CliTest::refusesWrongUsage_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<int>("code");
    QTest::addColumn<QByteArray>("part");
    const auto row = [](const char* name, const char* line, int code, const char* part) {
        QTest::newRow(name) << QString::fromLatin1(line).split(QLatin1Char(' '), Qt::SkipEmptyParts)
                            << code << QByteArray(part);
    };
    row("no command", "", 2, "--help");
    row("unknown command", "quantise m", 2, "quantise");
    row("unknown flag", "quantize m --itres 3", 2, "--itres");
    row("unknown topic", "list colours", 2, "colours");
    row("all topics in one document", "list --json", 2, "TOPIC");
    row("missing model", "inspect", 2, "MODEL");
    row("value out of range", "quantize m --iters -5", 2, "100000");
    row("not a number", "quantize m --seqlen long", 2, "recipe.seqlen");
    row("scheme with a typo", "quantize m --scheme W4A17", 2, "W4A16");
    row("no model", "quantize", 4, "No model");
    row("unknown field", "quantize m --set recipe.itres=3", 2, "recipe.iters");
    row("missing file", "quantize --spec /nowhere/job.json", 1, "/nowhere/job.json");
    row("missing model folder", "inspect /nowhere/model", 1, "/nowhere/model");
    row("not a run", "runs show /nowhere/run", 1, "/nowhere/run");
    row("two documents on stdout", "quantize m --json --events -", 2, "--events");
    row("no ids and no text", "trace m --output x.safetensors", 2, "--ids");
    row("metric", "quantize m --eval bleu", 4, "bleu");
}

void CliTest::refusesWrongUsage()
{
    QFETCH(QStringList, arguments);
    QFETCH(int, code);
    QFETCH(QByteArray, part);
    const Result result = run(arguments);
    QVERIFY2(result.code == code, result.err.constData());
    QVERIFY2(result.err.contains(part), result.err.constData());
    if (!arguments.contains(QStringLiteral("--json"))) {
        QVERIFY(result.out.isEmpty());
    }
}

void CliTest::printsErrorsAsOneDocument_data()
{
    refusesWrongUsage_data();
}

void CliTest::printsErrorsAsOneDocument()
{
    QFETCH(QStringList, arguments);
    QFETCH(int, code);
    if (arguments.isEmpty()) {
        QSKIP("--json belongs to a command");
    }
    if (!arguments.contains(QStringLiteral("--json"))) {
        arguments << QStringLiteral("--json");
    }
    const Result result = run(arguments);
    QCOMPARE(result.code, code);
    const auto document = nlohmann::json::parse(result.out.toStdString());
    QVERIFY(!document.at("error").at("code").get<std::string>().empty());
    QVERIFY(!document.at("error").at("message").get<std::string>().empty());
}

void CliTest::printsTheJobFileItWouldRun()
{
    const Result result = run({QStringLiteral("quantize"), QStringLiteral("m"),
        QStringLiteral("--recipe"), QStringLiteral("best"), QStringLiteral("--print-spec")});
    QCOMPARE(result.code, 0);
    const auto job = nlohmann::json::parse(result.out.toStdString());
    QCOMPARE(job.at("recipe").at("iters").get<int>(), 1000);
    QCOMPARE(job.at("model").at("path").get<std::string>(), std::string("m"));
}

void CliTest::readsBackItsOwnJobFile()
{
    const QStringList first = {QStringLiteral("quantize"), QStringLiteral("m"),
        QStringLiteral("--override"), QStringLiteral("*v_proj=W8A16"), QStringLiteral("--lr"),
        QStringLiteral("0.1"), QStringLiteral("--print-spec")};
    const QByteArray written = run(first).out;
    const QString file = m_folder.filePath(QStringLiteral("job.bitsmith.json"));
    std::ofstream(file.toStdString(), std::ios::binary) << written.toStdString();
    QCOMPARE(run({QStringLiteral("quantize"), QStringLiteral("--spec"), file,
                     QStringLiteral("--print-spec")})
                 .out,
        written);
}

void CliTest::listsNoRunsInAnEmptyFolder()
{
    const Result result =
        run({QStringLiteral("runs"), QStringLiteral("list"), QStringLiteral("--json")});
    QCOMPARE(result.code, 0);
    QVERIFY(nlohmann::json::parse(result.out.toStdString()).at("runs").empty());
}

void CliTest::endsWithItsOwnCodeWhenALayerCannotGetWhatWasAsked()
{
    bitsmith::source::TinyModelShape shape;
    shape.inner = 80; // not a multiple of 32
    const QString model = m_folder.filePath(QStringLiteral("odd"));
    bitsmith::source::write_tiny_model(bitsmith::disk(), model.toStdString(), shape);
    const QStringList line{QStringLiteral("quantize"), model, QStringLiteral("--scheme"),
        QStringLiteral("W4A16G32"), QStringLiteral("--recipe"), QStringLiteral("rtn"),
        QStringLiteral("--json")};
    const Result result = run(line);
    QVERIFY2(result.code == 5, result.err.constData());
    const auto report = nlohmann::json::parse(result.out.toStdString());
    const std::string reason = "shape: 80 columns, not a multiple of 32";
    QCOMPARE(report.at("deviations").size(), std::size_t{6});
    QCOMPARE(report.at("deviations")[2], nlohmann::json("model.layers.0.mlp.down_proj: " + reason));
}

void CliTest::roundsAModelWithoutATokenizer()
{
    const QString model = m_folder.filePath(QStringLiteral("mute"));
    bitsmith::source::write_tiny_model(bitsmith::disk(), model.toStdString(), {});
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
        QVERIFY(QFile::remove(model + QLatin1Char('/') + QLatin1String(name)));
    }
    const Result result = run(
        {QStringLiteral("quantize"), model, QStringLiteral("--scheme"), QStringLiteral("W4A16G32"),
            QStringLiteral("--recipe"), QStringLiteral("rtn"), QStringLiteral("--json")});
    QVERIFY2(result.code == 0, result.err.constData());
}

void CliTest::saysWhatPatternsTakeBeforeTheStart()
{
    const QString model = m_folder.filePath(QStringLiteral("patterns"));
    bitsmith::source::write_tiny_model(bitsmith::disk(), model.toStdString(), {});
    const QStringList line{QStringLiteral("quantize"), model, QStringLiteral("--scheme"),
        QStringLiteral("W4A16G32"), QStringLiteral("--recipe"), QStringLiteral("rtn"),
        QStringLiteral("--override"), QStringLiteral("o_proj=W8A16G32")};
    const Result done = run(line + QStringList{QStringLiteral("--keep"), QStringLiteral("o_prj")});
    QVERIFY2(done.code == 0, done.err.constData());
    const auto rule = done.err.indexOf("override 'o_proj': W8A16G32, 2 layers");
    QVERIFY2(rule >= 0 && rule < done.err.indexOf("== tune"), done.err.constData());
    QVERIFY2(done.err.contains("Pattern 'o_prj' matches no layer."), done.err.constData());
    const Result refused =
        run(line + QStringList{QStringLiteral("--override"), QStringLiteral("*_proj=W3A16G32")});
    QVERIFY2(refused.code == 4, refused.err.constData());
    QVERIFY2(refused.err.contains("o_proj=W8A16G32 has no effect"), refused.err.constData());
}

BITSMITH_TEST(CliTest)
#include "cli_test.moc"
