// SPDX-License-Identifier: GPL-3.0-or-later
// Kills the command line at random instants and at every block boundary; resuming must end with the same bytes.
#include "base/file_ops.h"
#include "base/random.h"
#include "source/tiny_model.h"
#include "support/test_main.h"

#include <QtTest>

#include <fstream>
#include <map>

using namespace bitsmith;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kBlocks = 4;

/// File name -> SHA-256 of every file below `folder`.
std::map<std::string, std::string> hashes(const fs::path& folder)
{
    std::map<std::string, std::string> result;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) {
            result[fs::relative(entry.path(), folder).string()] = sha256_file(entry.path());
        }
    }
    return result;
}

} // namespace

class ResumeTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void endsWithTheSameBytesAfterAKillAtAnyInstant();
    void endsWithTheSameBytesAfterAKillAtEveryBlockBoundary();
    void stopsWhenTheModelIsCutShortAndResumes();
    void refusesToResumeWithChangedSettings();
    void refusesToResumeWithAChangedModel();

private:
    QStringList arguments(const QString& name, bool resume) const;
    /// Runs to the end; gives the exit code.
    int finish(const QString& name, bool resume, const QStringList& more = {});
    void compareWithUndisturbed(const QString& name);
    fs::path path(const QString& name) const
    {
        return fs::path(folder_.filePath(name).toStdString());
    }

    QTemporaryDir folder_;
    QString cli_;
    std::map<std::string, std::string> expected_;
    qint64 undisturbedMs_ = 0;
    QByteArray lastOutput_;
};

void ResumeTest::initTestCase()
{
    cli_ = qEnvironmentVariable("BITSMITH_CLI");
    if (cli_.isEmpty() || !QFile::exists(cli_)) {
        QSKIP("the command line program is not built");
    }
    source::TinyModelShape shape;
    shape.blocks = kBlocks;
    source::write_tiny_model(disk(), path(QStringLiteral("model")), shape);
    std::ofstream text(path(QStringLiteral("text.txt")));
    Random random(3);
    for (int i = 0; i < 6000; ++i) {
        text << static_cast<char>('a' + random.below(26)) << (random.below(6) == 0 ? " " : "");
    }
    text.close();
    QElapsedTimer timer;
    timer.start();
    QVERIFY2(finish(QStringLiteral("undisturbed"), false) == 0, lastOutput_.constData());
    undisturbedMs_ = timer.elapsed();
    expected_ = hashes(path(QStringLiteral("undisturbed.out")));
    QVERIFY(expected_.size() >= 3);
}

QStringList ResumeTest::arguments(const QString& name, bool resume) const
{
    QStringList list{QStringLiteral("quantize"), folder_.filePath(QStringLiteral("model")),
        QStringLiteral("--scheme"), QStringLiteral("W4A16G32"), QStringLiteral("--quant-lm-head"),
        QStringLiteral("--touch-up"), QStringLiteral("on"), QStringLiteral("--iters"),
        QStringLiteral("12"), QStringLiteral("--nsamples"), QStringLiteral("16"),
        QStringLiteral("--seqlen"), QStringLiteral("32"), QStringLiteral("--batch-size"),
        QStringLiteral("4"), QStringLiteral("--dataset"),
        folder_.filePath(QStringLiteral("text.txt")), QStringLiteral("--threads"),
        QStringLiteral("1"), QStringLiteral("--format"), QStringLiteral("auto_round"),
        QStringLiteral("--output"), folder_.filePath(name + QStringLiteral(".out")),
        QStringLiteral("--run-dir"), folder_.filePath(name + QStringLiteral(".run")),
        QStringLiteral("--events"), QStringLiteral("-")};
    if (resume) {
        list << QStringLiteral("--resume");
    }
    return list;
}

int ResumeTest::finish(const QString& name, bool resume, const QStringList& more)
{
    QProcess process;
    process.setProcessChannelMode(QProcess::MergedChannels);
    process.start(cli_, arguments(name, resume) + more);
    process.waitForFinished(120000);
    lastOutput_ = process.readAll();
    return process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -1;
}

void ResumeTest::compareWithUndisturbed(const QString& name)
{
    // Killed before the run folder existed: there is nothing to resume, and --resume starts afresh.
    QVERIFY2(finish(name, true) == 0, lastOutput_.constData());
    const auto found = hashes(path(name + QStringLiteral(".out")));
    for (const auto& [file, hash] : expected_) {
        QVERIFY2(found.count(file) == 1, file.c_str());
        QVERIFY2(found.at(file) == hash, file.c_str());
    }
    QCOMPARE(found.size(), expected_.size());
    fs::remove_all(path(name + QStringLiteral(".out")));
    fs::remove_all(path(name + QStringLiteral(".run")));
}

void ResumeTest::endsWithTheSameBytesAfterAKillAtAnyInstant()
{
    Random random(11);
    int killed = 0;
    for (int i = 0; i < 25; ++i) {
        const QString name = QStringLiteral("instant%1").arg(i);
        fs::create_directories(path(name + QStringLiteral(".run")));
        QProcess process;
        process.start(cli_, arguments(name, false));
        QVERIFY(process.waitForStarted());
        const auto wait = static_cast<int>(random.below(static_cast<uint64_t>(undisturbedMs_)));
        if (!process.waitForFinished(wait)) {
            process.kill();
            process.waitForFinished();
            ++killed;
        }
        compareWithUndisturbed(name);
        if (QTest::currentTestFailed()) {
            return;
        }
    }
    QVERIFY2(killed >= 15, "too few of the processes were killed while they worked");
}

void ResumeTest::endsWithTheSameBytesAfterAKillAtEveryBlockBoundary()
{
    for (int64_t block = 0; block < kBlocks; ++block) {
        const QString name = QStringLiteral("block%1").arg(block);
        QProcess process;
        process.start(cli_, arguments(name, false));
        QVERIFY(process.waitForStarted());
        int64_t finished = 0;
        while (finished <= block && process.waitForReadyRead(60000)) {
            while (process.canReadLine()) {
                finished += process.readLine().contains("block_finished") ? 1 : 0;
            }
        }
        QVERIFY(finished > block);
        process.kill();
        process.waitForFinished();
        compareWithUndisturbed(name);
        if (QTest::currentTestFailed()) {
            return;
        }
    }
}

void ResumeTest::stopsWhenTheModelIsCutShortAndResumes()
{
    const QString name = QStringLiteral("cut");
    const fs::path weights = path(QStringLiteral("model")) / "model.safetensors";
    const std::string bytes = read_text_file(weights);
    QProcess process;
    process.setProcessChannelMode(QProcess::MergedChannels);
    process.start(cli_, arguments(name, false));
    QVERIFY(process.waitForStarted());
    QByteArray output;
    while (!output.contains("block_finished") && process.waitForReadyRead(60000)) {
        output += process.readAll();
    }
    fs::resize_file(weights, 100);
    const bool ended = process.waitForFinished(60000);
    output += process.readAll();
    std::ofstream(weights, std::ios::binary) << bytes;
    QVERIFY(ended);
    QVERIFY2(process.exitStatus() == QProcess::NormalExit, output.constData());
    QVERIFY2(process.exitCode() != 0, output.constData());
    QVERIFY2(output.contains("model.safetensors"), output.constData());
    QVERIFY2(output.contains("file in use") || output.contains("while it was in use"),
        output.constData());
    QVERIFY(!fs::exists(path(name + QStringLiteral(".out"))));
    compareWithUndisturbed(name);
}

void ResumeTest::refusesToResumeWithChangedSettings()
{
    const QString name = QStringLiteral("undisturbed");
    const int code = finish(name, true,
        {QStringLiteral("--seed"), QStringLiteral("7"), QStringLiteral("--lr"),
            QStringLiteral("0.5")});
    QVERIFY(code != 0);
    QVERIFY2(lastOutput_.contains("seed"), lastOutput_.constData());
    QVERIFY2(lastOutput_.contains("lr"), lastOutput_.constData());
}

void ResumeTest::refusesToResumeWithAChangedModel()
{
    const fs::path config = path(QStringLiteral("model")) / "config.json";
    std::string text = read_text_file(config);
    std::ofstream(config) << text << " ";
    const int code = finish(QStringLiteral("undisturbed"), true);
    std::ofstream(config) << text;
    QVERIFY(code != 0);
    QVERIFY2(lastOutput_.contains("model"), lastOutput_.constData());
}

BITSMITH_TEST(ResumeTest)
#include "resume_test.moc"
