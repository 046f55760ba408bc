// SPDX-License-Identifier: GPL-3.0-or-later
#include "support/test_main.h"
#include "unit/core/run/sample_run.h"

#include <bitsmith/run_reader.h>

#include <QTemporaryDir>
#include <QtTest>

#include <fstream>

using namespace bitsmith;

class RunReaderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void tellsStatesApart();
    void listsRunsNewestFirstAndSkipsOtherFolders();
    void followsAJournalThatGrows();
    void readsEventsOfAllStarts();
    void refusesFoldersThatAreNoRuns();
    void refusesADamagedRecord();
    void findsTheFolderOfRuns();

private:
    std::filesystem::path fresh()
    {
        return std::filesystem::path(m_folder.path().toStdString())
            / ("run" + std::to_string(++m_runs));
    }
    static std::unique_ptr<RunFolder> create(const std::filesystem::path& folder)
    {
        const JobSpec spec = sample_run::spec();
        const ModelInfo model = sample_run::model();
        return RunFolder::create(disk(), folder, spec, model, build_plan(spec, model));
    }

    QTemporaryDir m_folder;
    int m_runs = 0;
};

namespace {

Event started(int64_t sequence)
{
    return {sequence, 1, JobStarted{}};
}
Event finished(int64_t sequence, JobState state)
{
    return {sequence, 2, JobFinished{state, "", "", 1}};
}

} // namespace

void RunReaderTest::tellsStatesApart()
{
    const auto folder = fresh();
    auto run = create(folder);
    run->append(started(0));
    run->publish_block(0, sample_run::block(0), true);
    QCOMPARE(read_run(folder).state, JobState::Running);
    run.reset(); // as a kill: the lock is gone without a last record
    const RunSummary summary = read_run(folder);
    QCOMPARE(summary.state, JobState::Interrupted);
    QCOMPARE(summary.blocks_done, int64_t{1});
    QCOMPARE(summary.blocks, int64_t{2});
    QCOMPARE(summary.scheme, std::string("W4A16G32"));
    QVERIFY(summary.bytes > 2048);

    run = RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model());
    run->append(started(0));
    run->append(finished(1, JobState::Cancelled));
    run.reset();
    QCOMPARE(read_run(folder).state, JobState::Cancelled);

    run = RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model());
    run->append(started(0));
    run.reset();
    QCOMPARE(read_run(folder).state, JobState::Interrupted);
}

void RunReaderTest::listsRunsNewestFirstAndSkipsOtherFolders()
{
    QTemporaryDir runs;
    const std::filesystem::path base = runs.path().toStdString();
    create(base / "a");
    QTest::qWait(5); // times of creation are in milliseconds
    create(base / "b");
    std::filesystem::create_directories(base / "other");
    std::filesystem::create_directories(base / "damaged");
    std::ofstream(base / "damaged" / "run.json") << "{";
    const auto list = list_runs(base);
    QCOMPARE(list.size(), std::size_t{2});
    QCOMPARE(list[0].name, std::string("b"));
    QVERIFY(list_runs(base / "absent").empty());
}

void RunReaderTest::followsAJournalThatGrows()
{
    const auto folder = fresh();
    const auto run = create(folder);
    RunFollower follower(folder);
    QVERIFY(follower.poll().empty());
    run->append(started(0));
    QCOMPARE(follower.poll().size(), std::size_t{1});
    QVERIFY(follower.poll().empty());
    run->append(finished(1, JobState::Done));
    run->append(finished(2, JobState::Done));
    const auto events = follower.poll();
    QCOMPARE(events.size(), std::size_t{2});
    QCOMPARE(events[1].sequence, int64_t{2});
}

void RunReaderTest::readsEventsOfAllStarts()
{
    const auto folder = fresh();
    create(folder)->append(started(0));
    RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model())->append(started(0));
    QCOMPARE(read_run_events(folder).size(), std::size_t{2});
}

void RunReaderTest::refusesFoldersThatAreNoRuns()
{
    try {
        read_run(fresh());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
    }
}

void RunReaderTest::refusesADamagedRecord()
{
    const auto folder = fresh();
    create(folder);
    for (const char* text :
        {"", "[]", "{}", "{\"schema_version\": 99}", "{\"schema_version\": 1, \"blocks\": -1}"}) {
        std::ofstream(folder / "run.json") << text;
        try {
            read_run(folder);
            QFAIL("accepted");
        } catch (const Error& error) {
            QVERIFY2(error.code() == ErrorCode::FileCorrupt, error.what());
            QVERIFY(std::string(error.what()).find("run.json") != std::string::npos);
        }
    }
}

void RunReaderTest::findsTheFolderOfRuns()
{
    const QByteArray before = qgetenv("BITSMITH_RUNS");
    qputenv("BITSMITH_RUNS", "/some/runs");
    QCOMPARE(default_runs_folder().string(), std::string("/some/runs"));
    qunsetenv("BITSMITH_RUNS");
    qputenv("XDG_DATA_HOME", "/data");
    QCOMPARE(default_runs_folder().string(), std::string("/data/bitsmith/runs"));
    qunsetenv("XDG_DATA_HOME");
    if (!before.isEmpty()) {
        qputenv("BITSMITH_RUNS", before);
    }
}

BITSMITH_TEST(RunReaderTest)
#include "run_reader_test.moc"
