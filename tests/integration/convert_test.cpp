// SPDX-License-Identifier: GPL-3.0-or-later
// convert, and export without a format, as a process: results, messages, exit codes.
#include "base/file_ops.h"
#include "source/tiny_model.h"
#include "support/test_main.h"

#include <QProcess>
#include <QTemporaryDir>
#include <QtTest>

#include <nlohmann/json.hpp>

class ConvertCommandTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void convertsToGguf();
    void endsWithTheCodeOfTheReason_data();
    void endsWithTheCodeOfTheReason();
    void listsWhatARunCanBeExportedTo();
    void writesWhatTheCardIsToSay();

private:
    struct Result
    {
        int code = -1;
        QByteArray out, err;
    };
    Result run(const QStringList& arguments) const
    {
        QProcess process;
        process.start(m_program, arguments);
        process.waitForFinished(60'000);
        const bool ended = process.exitStatus() == QProcess::NormalExit;
        return {ended ? process.exitCode() : -1, process.readAllStandardOutput(),
            process.readAllStandardError()};
    }
    QString path(const char* name) const { return m_folder.filePath(QString::fromLatin1(name)); }
    Result quantize(const char* scheme, const char* format, const char* name) const
    {
        return run({QStringLiteral("quantize"), path("model"), QStringLiteral("--scheme"),
            QString::fromLatin1(scheme), QStringLiteral("--recipe"), QStringLiteral("rtn"),
            QStringLiteral("--format"), QString::fromLatin1(format), QStringLiteral("--output"),
            path(name), QStringLiteral("--run-dir"), path(name) + QStringLiteral(".run")});
    }

    QString m_program;
    QTemporaryDir m_folder;
};

void ConvertCommandTest::initTestCase()
{
    m_program = qEnvironmentVariable("BITSMITH_CLI");
    if (m_program.isEmpty()) {
        QSKIP("BITSMITH_CLI does not name the program");
    }
    const std::filesystem::path model = path("model").toStdString();
    bitsmith::source::write_tiny_model(bitsmith::disk(), model, {});
    for (const auto& [scheme, format, name] : {std::tuple{"W4A16G32", "auto_round", "sym"},
             std::tuple{"W4A16G32_ASYM", "auto_round", "asym"},
             std::tuple{"W8A8", "llm_compressor", "w8a8"}}) {
        const Result result = quantize(scheme, format, name);
        QVERIFY2(result.code == 0, result.err.constData());
    }
}

void ConvertCommandTest::convertsToGguf()
{
    const Result result = run(
        {QStringLiteral("convert"), path("sym"), QStringLiteral("--format"), QStringLiteral("gguf"),
            QStringLiteral("--output"), path("sym.gguf"), QStringLiteral("--json")});
    QVERIFY2(result.code == 0, result.err.constData());
    const auto report = nlohmann::json::parse(result.out.toStdString());
    QCOMPARE(report.at("model").get<std::string>(), path("sym").toStdString());
    QCOMPARE(report.at("format").get<std::string>(), std::string("gguf"));
    QCOMPARE(report.at("layers").get<int>(), 14);
    QVERIFY(report.at("bytes").get<int64_t>() > 0);
    const QString written = QString::fromStdString(report.at("path").get<std::string>());
    QCOMPARE(run({QStringLiteral("verify"), written}).code, 0);
    QVERIFY(result.err.contains("verified")); // progress as export shows it
}

void ConvertCommandTest::endsWithTheCodeOfTheReason_data()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<QStringList>("more");
    QTest::addColumn<int>("code");
    QTest::addColumn<QByteArray>("part");
    const auto row = [](const char* name, const char* model, const char* more, int code,
                         const char* part) {
        QTest::newRow(name) << QString::fromLatin1(model)
                            << QString::fromLatin1(more).split(QLatin1Char(' '), Qt::SkipEmptyParts)
                            << code << QByteArray(part);
    };
    row("no format", "sym", "--output OUT", 2, "--format");
    row("no output", "sym", "--format gguf", 2, "--output");
    row("unknown format", "sym", "--format ggml --output OUT", 4, "gguf");
    row("unknown type", "sym", "--format gguf --type f8 --output OUT", 4, "bf16");
    row("grids that differ", "asym", "--format gguf --output OUT", 4, "14 of 14");
    row("no such model", "absent", "--format gguf --output OUT", 1, "absent");
    row("decoded weights", "asym", "--format gguf --dtype bf16 --output OUT", 0, "verified");
    row("rounded inputs kept", "w8a8", "--format llm_compressor --output OUT", 0, "verified");
    row("rounded inputs lost", "w8a8", "--format bf16 --output OUT", 5, "13 more layers");
}

void ConvertCommandTest::endsWithTheCodeOfTheReason()
{
    QFETCH(QString, model);
    QFETCH(QStringList, more);
    QFETCH(int, code);
    QFETCH(QByteArray, part);
    const QTemporaryDir output;
    more.replaceInStrings(QStringLiteral("OUT"), output.filePath(QStringLiteral("out")));
    const QStringList line =
        QStringList{QStringLiteral("convert"), m_folder.filePath(model)} + more;
    const Result result = run(line);
    QVERIFY2(result.code == code, result.err.constData());
    QVERIFY2((result.err + result.out).contains(part), result.err.constData());
    QCOMPARE(QFile::exists(output.filePath(QStringLiteral("out"))), code == 0 || code == 5);
}

void ConvertCommandTest::listsWhatARunCanBeExportedTo()
{
    const QStringList line{QStringLiteral("export"), path("asym.run")};
    const Result json = run(line + QStringList{QStringLiteral("--json")});
    QVERIFY2(json.code == 0, json.err.constData());
    const auto offers = nlohmann::json::parse(json.out.toStdString()).at("offers");
    QVERIFY(offers.at(0).at("fits").get<bool>());
    const Result text = run(line);
    QCOMPARE(text.code, 0);
    for (const auto& offer : offers) {
        QVERIFY(text.out.contains(offer.at("format").get<std::string>().c_str()));
        QVERIFY(text.out.contains(offer.at("why_not").get<std::string>().c_str()));
    }
    // A format needs an output, and the other way round; what the card says needs a format.
    for (const char* option : {"--format", "--output", "--author"}) {
        const Result half =
            run(line + QStringList{QString::fromLatin1(option), QStringLiteral("gguf")});
        QVERIFY2(half.code == 2, half.err.constData());
    }
}

void ConvertCommandTest::writesWhatTheCardIsToSay()
{
    const Result result =
        run({QStringLiteral("export"), path("sym.run"), QStringLiteral("--format"),
            QStringLiteral("fake"), QStringLiteral("--output"), path("told"),
            QStringLiteral("--model-name"), QStringLiteral("Tiny One"), QStringLiteral("--author"),
            QStringLiteral("Ada"), QStringLiteral("--license"), QStringLiteral("mit")});
    QVERIFY2(result.code == 0, result.err.constData());
    QFile file(path("told/README.md"));
    QVERIFY(file.open(QFile::ReadOnly));
    const QByteArray card = file.readAll();
    for (const char* part : {"license: mit\n", "# Tiny One, ", "Author: Ada.\n"}) {
        QVERIFY2(card.contains(part), card.constData());
    }
    const Result bad = run({QStringLiteral("export"), path("sym.run"), QStringLiteral("--format"),
        QStringLiteral("fake"), QStringLiteral("--output"), path("bad"),
        QStringLiteral("--max-shard-gb"), QStringLiteral("0")});
    QVERIFY2(bad.code == 2 && bad.err.contains("max_shard_gb"), bad.err.constData());
}

BITSMITH_TEST(ConvertCommandTest)
#include "convert_test.moc"
