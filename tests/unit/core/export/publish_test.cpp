// SPDX-License-Identifier: GPL-3.0-or-later
#include "export/exporter.h"
#include "export/marker.h"
#include "support/expect_error.h"
#include "support/export_model.h"
#include "support/faulty_disk.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <bitsmith/catalog.h>
#include <bitsmith/observer.h>

#include <ATen/ATen.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
namespace fs = std::filesystem;

class PublishTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void publishesACompleteFolder_data();
    void publishesACompleteFolder();
    void writesTheSameBytesTwice();
    void leavesTheTargetUntouchedWhenAnyOperationFails_data();
    void leavesTheTargetUntouchedWhenAnyOperationFails();
    void leavesNothingBehindWhenCancelled();
    void refusesTheModelsOwnFolder();
    void refusesAFolderWithFiles();
    void usesAnEmptyFolder();
    void replacesWhatAKilledExportLeft();
    void refusesAPlanWithoutItsLayers();
    void findsFilesThatChangedAfterwards();
    void namesFormatsThatItDoesNotKnow();
};

namespace {

struct Job
{
    explicit Job(const std::string& scheme = "gguf:q4_0")
        : model(test::llama_config())
    {
        model.plan_all(parse_scheme(scheme));
    }
    ExportReport publish(
        const std::string& format, const fs::path& target, FileSystem& files = disk())
    {
        EventEmitter events(observer);
        RunContext context{events, control};
        return publish_export(context, files, exporter_for(format), model.input(), target);
    }
    test::ExportModel model;
    RecordingObserver observer;
    RunControl control;
};

std::vector<std::string> names_in(const fs::path& folder)
{
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
        names.push_back(entry.path().filename().string());
    }
    return names;
}

void add_formats()
{
    QTest::addColumn<std::string>("format");
    QTest::newRow("auto_round") << std::string("auto_round");
    QTest::newRow("gguf") << std::string("gguf");
}

} // namespace

void PublishTest::publishesACompleteFolder_data()
{
    add_formats();
}

void PublishTest::publishesACompleteFolder()
{
    QFETCH(std::string, format);
    const TempFolder folder;
    Job job;
    const ExportReport report = job.publish(format, folder / "out");
    QCOMPARE(names_in(folder.path()), std::vector<std::string>{"out"});
    QCOMPARE(check_marker(folder / "out"), std::vector<std::string>());
    QVERIFY(report.bytes > 0);
    QCOMPARE(describe_export(exporter_for(format), folder / "out").bytes, report.bytes);
    QCOMPARE(std::string(exporter_of(folder / "out").id()), format);
    const Json marker = read_json_file(folder / "out" / kMarkerFile);
    QCOMPARE(marker["format"], Json(format));
    QCOMPARE(marker["files"].size() + 1, files_below(folder / "out").size());
    QVERIFY(report.bytes <= exporter_for(format).estimate_bytes(job.model.input()));
}

void PublishTest::writesTheSameBytesTwice()
{
    const TempFolder folder;
    Job job;
    job.publish("auto_round", folder / "a");
    job.publish("auto_round", folder / "b");
    QCOMPARE(
        read_text_file(folder / "a" / kMarkerFile), read_text_file(folder / "b" / kMarkerFile));
}

void PublishTest::leavesTheTargetUntouchedWhenAnyOperationFails_data()
{
    QTest::addColumn<std::string>("format");
    QTest::addColumn<FaultyDisk::Fault>("fault");
    const std::string auto_round = "auto_round", gguf = "gguf";
    QTest::newRow("auto_round, disk full") << auto_round << FaultyDisk::Fault::NoSpace;
    QTest::newRow("auto_round, I/O error") << auto_round << FaultyDisk::Fault::IoError;
    QTest::newRow("gguf, short write") << gguf << FaultyDisk::Fault::ShortWrite;
    QTest::newRow("gguf, I/O error") << gguf << FaultyDisk::Fault::IoError;
}

void PublishTest::leavesTheTargetUntouchedWhenAnyOperationFails()
{
    QFETCH(std::string, format);
    QFETCH(FaultyDisk::Fault, fault);
    Job job;
    int64_t operations = 0;
    {
        const TempFolder folder;
        FaultyDisk counting;
        job.publish(format, folder / "out", counting);
        operations = counting.operations();
    }
    QVERIFY(operations > 10);
    for (int64_t n = 0; n < operations; ++n) {
        const TempFolder folder;
        FaultyDisk faulty(n, fault);
        try {
            job.publish(format, folder / "out", faulty);
            QFAIL(qPrintable(QStringLiteral("operation %1 failed unnoticed").arg(n)));
        } catch (const Error& error) {
            QVERIFY2(error.code() == ErrorCode::WriteFailed, error.what());
        }
        QVERIFY2(names_in(folder.path()).empty(), qPrintable(QString::number(n)));
    }
}

void PublishTest::leavesNothingBehindWhenCancelled()
{
    const TempFolder folder;
    Job job;
    job.control.cancel();
    QVERIFY_EXCEPTION_THROWN(job.publish("gguf", folder / "out"), Cancelled);
    QVERIFY(names_in(folder.path()).empty());
}

void PublishTest::refusesTheModelsOwnFolder()
{
    const TempFolder folder;
    Job job;
    job.model.model.path = folder.path().string();
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"folder of the model", "exports.output"}),
        job.publish("auto_round", folder.path()));
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"folder of the model"}),
        job.publish("auto_round", folder / "a/../b/c"));
    QVERIFY(names_in(folder.path()).empty());
}

void PublishTest::refusesAFolderWithFiles()
{
    const TempFolder folder;
    folder.write("out/notes.txt", "mine");
    Job job;
    EXPECT_ERROR(InvalidSpec, EXPECT_WORDS({"not an empty folder"}),
        job.publish("auto_round", folder / "out"));
    QCOMPARE(read_text_file(folder / "out/notes.txt"), std::string("mine"));
}

void PublishTest::usesAnEmptyFolder()
{
    const TempFolder folder;
    fs::create_directories(folder / "out");
    Job job;
    job.publish("auto_round", folder / "out/");
    QCOMPARE(check_marker(folder / "out"), std::vector<std::string>());
}

void PublishTest::replacesWhatAKilledExportLeft()
{
    const TempFolder folder;
    folder.write(".out.unfinished/model.safetensors", "half");
    Job job;
    job.publish("auto_round", folder / "out");
    QCOMPARE(names_in(folder.path()), std::vector<std::string>{"out"});
}

void PublishTest::refusesAPlanWithoutItsLayers()
{
    const TempFolder folder;
    Job job;
    job.model.layers.layers.erase("model.layers.0.mlp.up_proj");
    EXPECT_ERROR(MissingTensor, EXPECT_WORDS({"model.layers.0.mlp.up_proj"}),
        job.publish("auto_round", folder / "out"));
}

void PublishTest::findsFilesThatChangedAfterwards()
{
    const TempFolder folder;
    Job job;
    job.publish("auto_round", folder / "out");
    folder.write("out/generation_config.json", R"({"eos_token_id": 260})");
    folder.write("out/more.txt", "new");
    fs::remove(folder / "out/tokenizer.json");
    const std::vector<std::string> findings = check_marker(folder / "out");
    QCOMPARE(findings.size(), std::size_t(3));
    QVERIFY(findings[0].find("generation_config.json") != std::string::npos);
    QVERIFY(findings[0].find("SHA-256") != std::string::npos);
    QVERIFY(findings[1].find("tokenizer.json") != std::string::npos);
    QVERIFY(findings[2].find("more.txt") != std::string::npos);
}

void PublishTest::namesFormatsThatItDoesNotKnow()
{
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({"auto_roud", "auto_round"}),
        format_refusal("auto_roud", Scheme()));
    QCOMPARE(format_catalog().size(), std::size_t(8));
    QCOMPARE(format_refusal("gguf", parse_scheme("gguf:q4_1")), std::string());
    QVERIFY(!format_refusal("auto_round", parse_scheme("gguf:q4_1")).empty());
}

BITSMITH_TEST(PublishTest)
#include "publish_test.moc"
