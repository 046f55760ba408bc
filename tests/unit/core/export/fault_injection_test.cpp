// SPDX-License-Identifier: GPL-3.0-or-later
// Every exporter on a disk whose n-th operation fails, for every n (ahead.md 4.9).
#include "export/exporter.h"
#include "export/marker.h"
#include "support/encoded_plan.h"
#include "support/faulty_disk.h"
#include "support/temp_folder.h"
#include "support/test_main.h"

#include <bitsmith/observer.h>

#include <QtTest>

using namespace bitsmith;
using namespace bitsmith::exporting;
namespace fs = std::filesystem;

class FaultInjectionTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void fallsBackToAnUntouchedFolder_data();
    void fallsBackToAnUntouchedFolder();
};

namespace {

/// Far above the operations of the tiny model: an export that never succeeds must not run forever.
constexpr int64_t kMostOperations = 5000;

/// The first of a few schemes that the format holds; empty when it holds none of them.
std::string scheme_for(const Exporter& exporter)
{
    for (const char* name : {"W4A16G32", "W4A16G32_ASYM", "FP8_BLOCK", "MXFP4", "gguf:q4_0"}) {
        if (exporter.refusal(parse_scheme(name)).empty()) {
            return name;
        }
    }
    return {};
}

struct Job
{
    explicit Job(const Exporter& exporter)
        : exporter(exporter)
        , model(test::llama_config())
    {
        test::plan_encoded(model, parse_scheme(scheme_for(exporter)));
    }
    void publish(FileSystem& files, const fs::path& target)
    {
        NullObserver observer;
        EventEmitter events(observer);
        RunContext context{events, {}};
        publish_export(context, files, exporter, model.input(), target);
    }
    const Exporter& exporter;
    test::ExportModel model;
};

bool is_empty_folder(const fs::path& folder)
{
    return fs::directory_iterator(folder) == fs::directory_iterator();
}

/// Empty when the attempt ended in WriteFailed and left nothing; otherwise what is wrong.
std::string finding_of_failure(Job& job, FaultyDisk& faulty, const fs::path& folder)
{
    try {
        job.publish(faulty, folder / "out");
        return "an operation failed unnoticed";
    } catch (const Error& error) {
        if (error.code() != ErrorCode::WriteFailed) {
            return error.what();
        }
    }
    return is_empty_folder(folder) ? "" : "something was left behind";
}

} // namespace

void FaultInjectionTest::fallsBackToAnUntouchedFolder_data()
{
    QTest::addColumn<std::string>("format");
    QTest::addColumn<FaultyDisk::Fault>("fault");
    const std::pair<const char*, FaultyDisk::Fault> faults[] = {
        {"disk full", FaultyDisk::Fault::NoSpace}, {"I/O error", FaultyDisk::Fault::IoError},
        {"short write", FaultyDisk::Fault::ShortWrite}};
    for (const Exporter* exporter : exporters()) {
        const std::string format(exporter->id());
        for (const auto& [name, fault] : faults) {
            QTest::newRow(qPrintable(QString::fromStdString(format + ", " + name)))
                << format << fault;
        }
    }
}

void FaultInjectionTest::fallsBackToAnUntouchedFolder()
{
    QFETCH(std::string, format);
    QFETCH(FaultyDisk::Fault, fault);
    const Exporter& exporter = exporter_for(format);
    QVERIFY2(!scheme_for(exporter).empty(), "no scheme of the list; add one that it holds");
    Job job(exporter);
    const TempFolder undisturbed, folder;
    FaultyDisk counting;
    job.publish(counting, undisturbed / "out");
    QVERIFY(counting.operations() > 10 && counting.operations() < kMostOperations);

    // All attempts share the folder: each one is the retry after the failure before it.
    for (int64_t n = 0; n < counting.operations(); ++n) {
        FaultyDisk faulty(n, fault);
        const std::string finding = finding_of_failure(job, faulty, folder.path());
        QVERIFY2(finding.empty(), qPrintable(QString::number(n) + ": " + finding.c_str()));
    }
    job.publish(disk(), folder / "out");
    QCOMPARE(check_marker(folder / "out"), std::vector<std::string>());
    QCOMPARE(read_text_file(folder / "out" / kMarkerFile),
        read_text_file(undisturbed / "out" / kMarkerFile));
}

BITSMITH_TEST(FaultInjectionTest)
#include "fault_injection_test.moc"
