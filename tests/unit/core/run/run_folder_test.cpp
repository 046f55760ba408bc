// SPDX-License-Identifier: GPL-3.0-or-later
#include "run/run_folder.h"
#include "support/test_main.h"
#include "unit/core/run/sample_run.h"

#include <ATen/ATen.h>

#include <QTemporaryDir>
#include <QtTest>

#include <algorithm>
#include <fstream>

using namespace bitsmith;

class RunFolderTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void givesBackWhatWasPublished();
    void findsFinishedBlocksAgain();
    void keepsOnlyTheNewestInputs();
    void computesADamagedBlockAgain();
    void refusesASecondRunInTheSameFolder();
    void refusesASecondOwner();
    void listsEveryFieldThatDiffersOnResume();
    void refusesAnotherModelOnResume();
    void acceptsAndRecordsFieldsThatMayDiffer();
    void startsAnewWhenAKillPreventedTheRecord();
    void refusesToResumeNothing();
    void givesBackTheCalibration();
    void leavesARunWithInputsAtEveryKill();
    void keepsInThePlanWhatABlockKept();

private:
    std::filesystem::path fresh()
    {
        return std::filesystem::path(m_folder.path().toStdString())
            / ("run" + std::to_string(++m_runs));
    }
    static std::unique_ptr<RunFolder> create(FileSystem& fs, const std::filesystem::path& folder)
    {
        const JobSpec spec = sample_run::spec();
        const ModelInfo model = sample_run::model();
        return RunFolder::create(fs, folder, spec, model, build_plan(spec, model));
    }

    QTemporaryDir m_folder;
    int m_runs = 0;
};

namespace {

/// Stops everything from the n-th operation on, as a kill does: nothing later reaches the disk.
class KilledDisk : public FileSystem
{
public:
    using Path = std::filesystem::path;
    std::unique_ptr<ByteSink> create(const Path& file) override
    {
        count();
        return disk().create(file);
    }
    std::unique_ptr<ByteSink> append(const Path& file) override
    {
        count();
        return disk().append(file);
    }
    void create_folders(const Path& folder) override
    {
        count();
        disk().create_folders(folder);
    }
    void rename(const Path& from, const Path& to) override
    {
        count();
        disk().rename(from, to);
    }
    void remove_all(const Path& path) override
    {
        count();
        disk().remove_all(path);
    }
    void sync_folder(const Path& folder) override
    {
        count();
        disk().sync_folder(folder);
    }

    int left = 1 << 30;

private:
    void count()
    {
        if (left-- <= 0) {
            fail(ErrorCode::WriteFailed, "killed");
        }
    }
};

} // namespace

void RunFolderTest::givesBackWhatWasPublished()
{
    const auto run = create(disk(), fresh());
    const tune::BlockResult block = sample_run::block(0);
    QVERIFY(!run->contains("layers.0.q"));
    run->publish_block(0, block, true);
    QVERIFY(run->contains("layers.0.q"));
    QVERIFY(!run->contains("layers.1.q"));
    const quant::QuantizedWeight weight = run->load("layers.0.q");
    QVERIFY(weight.scheme == block.layers[0].weight.scheme);
    QVERIFY(at::equal(weight.codes, block.layers[0].weight.codes));
    QVERIFY(at::equal(weight.scales, block.layers[0].weight.scales));
    QVERIFY(at::equal(weight.zeros, block.layers[0].weight.zeros));
    QCOMPARE(run->block_summary(0).loss, 1.0 / 3);
    QCOMPARE(run->block_errors(0).at(0).mse, 0.1);
    const auto inputs = run->load_inputs(1);
    QVERIFY(inputs.has_value());
    QVERIFY(at::equal(inputs->reference, block.reference_outputs));
    QVERIFY(at::equal(inputs->quantized, block.quantized_outputs));
    QVERIFY_EXCEPTION_THROWN(run->load("layers.9.q"), Error);
}

void RunFolderTest::findsFinishedBlocksAgain()
{
    const auto folder = fresh();
    {
        const auto run = create(disk(), folder);
        QCOMPARE(run->finished_blocks(), int64_t{0});
        run->publish_block(0, sample_run::block(0), true);
        QCOMPARE(run->finished_blocks(), int64_t{1});
    }
    const auto run = RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model());
    QCOMPARE(run->finished_blocks(), int64_t{1});
    QVERIFY(run->plan() == build_plan(sample_run::spec(), sample_run::model()));
    run->publish_block(1, sample_run::block(1), false);
    QCOMPARE(RunFolder::open(folder)->finished_blocks(), int64_t{2});
}

void RunFolderTest::keepsOnlyTheNewestInputs()
{
    const auto run = create(disk(), fresh());
    run->publish_block(0, sample_run::block(0), true);
    QVERIFY(run->load_inputs(1).has_value());
    run->publish_block(1, sample_run::block(1), true);
    QVERIFY(!run->load_inputs(1).has_value());
    QVERIFY(run->load_inputs(2).has_value());
    run->publish_block(1, sample_run::block(1), false);
    QVERIFY(!run->load_inputs(2).has_value());
}

void RunFolderTest::computesADamagedBlockAgain()
{
    const auto folder = fresh();
    {
        const auto run = create(disk(), folder);
        run->publish_block(0, sample_run::block(0), true);
        run->publish_block(1, sample_run::block(1), true);
    }
    const auto file = folder / "blocks" / "0001.safetensors";
    std::string bytes = read_text_file(file);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    std::ofstream(file, std::ios::binary) << bytes;
    QCOMPARE(RunFolder::open(folder)->finished_blocks(), int64_t{1});
}

void RunFolderTest::refusesASecondRunInTheSameFolder()
{
    const auto folder = fresh();
    create(disk(), folder);
    try {
        create(disk(), folder);
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        QVERIFY(error.hint().find("--resume") != std::string::npos);
    }
}

void RunFolderTest::refusesASecondOwner()
{
    const auto folder = fresh();
    const auto run = create(disk(), folder);
    try {
        RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        const std::string pid = std::to_string(QCoreApplication::applicationPid());
        QVERIFY2(std::string(error.what()).find(pid) != std::string::npos, error.what());
    }
}

void RunFolderTest::listsEveryFieldThatDiffersOnResume()
{
    const auto folder = fresh();
    create(disk(), folder);
    JobSpec spec = sample_run::spec();
    spec.recipe.iters = 7;
    spec.runtime.seed = 1;
    spec.scheme.keep = {"q"};
    spec.exports.formats = {"gguf"}; // may differ
    try {
        RunFolder::resume(disk(), folder, spec, sample_run::model());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::InvalidSpec);
        std::vector<std::string> fields;
        for (const auto& [key, value] : error.context()) {
            fields.push_back(key);
        }
        QCOMPARE(fields,
            (std::vector<std::string>{"run", "scheme.keep", "recipe.iters", "runtime.seed"}));
    }
}

void RunFolderTest::refusesAnotherModelOnResume()
{
    const auto folder = fresh();
    create(disk(), folder);
    ModelInfo model = sample_run::model();
    model.fingerprint = "another";
    QVERIFY_EXCEPTION_THROWN(RunFolder::resume(disk(), folder, sample_run::spec(), model), Error);
}

void RunFolderTest::acceptsAndRecordsFieldsThatMayDiffer()
{
    const auto folder = fresh();
    create(disk(), folder);
    JobSpec spec = sample_run::spec();
    spec.exports.formats = {"gguf"};
    spec.evaluation.metrics = {"kld"};
    spec.runtime.threads = 3;
    RunFolder::resume(disk(), folder, spec, sample_run::model());
    QVERIFY(read_run_spec(folder) == spec);
}

void RunFolderTest::startsAnewWhenAKillPreventedTheRecord()
{
    const auto folder = fresh();
    std::filesystem::create_directories(folder);
    const auto run = RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model());
    QCOMPARE(run->finished_blocks(), int64_t{0});
    QVERIFY(std::filesystem::exists(folder / "run.json"));
}

void RunFolderTest::refusesToResumeNothing()
{
    try {
        RunFolder::resume(disk(), fresh(), sample_run::spec(), sample_run::model());
        QFAIL("accepted");
    } catch (const Error& error) {
        QCOMPARE(error.code(), ErrorCode::FileNotFound);
    }
}

void RunFolderTest::givesBackTheCalibration()
{
    const auto run = create(disk(), fresh());
    QVERIFY(!run->load_calibration().has_value());
    calib::CalibrationSet calibration;
    calibration.ids = at::arange(12).view({3, 4});
    calibration.mask = at::ones({3, 4}, at::kBool);
    calibration.holdout = 1;
    calibration.origin = "self, \"3\" answers";
    calibration.asked = 5;
    calibration.warnings = {"a", "b\n"};
    run->publish_calibration(calibration);
    const auto read = run->load_calibration();
    QVERIFY(read.has_value());
    QVERIFY(at::equal(read->ids, calibration.ids));
    QVERIFY(at::equal(read->mask, calibration.mask));
    QCOMPARE(read->holdout, int64_t{1});
    QCOMPARE(read->asked, int64_t{5});
    QCOMPARE(read->origin, calibration.origin);
    QCOMPARE(read->warnings, calibration.warnings);
}

void RunFolderTest::leavesARunWithInputsAtEveryKill()
{
    // Kill at every operation while block 1 is published: the run must know one or two blocks, and
    // must hold the inputs of the first one that is missing.
    bool reached_the_end = false;
    for (int operations = 0; !reached_the_end; ++operations) {
        QVERIFY(operations < 100);
        const auto folder = fresh();
        KilledDisk killed;
        {
            const auto run = create(killed, folder);
            run->publish_block(0, sample_run::block(0), true);
            killed.left = operations;
            try {
                run->publish_block(1, sample_run::block(1), true);
                reached_the_end = true;
            } catch (const Error& error) {
                QCOMPARE(error.code(), ErrorCode::WriteFailed);
            }
        }
        const auto run = RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model());
        const int64_t finished = run->finished_blocks();
        QVERIFY(finished == 1 || finished == 2);
        const auto inputs = run->load_inputs(finished);
        QVERIFY(inputs.has_value());
        QVERIFY(at::equal(inputs->quantized, sample_run::block(finished - 1).quantized_outputs));
    }
}

void RunFolderTest::keepsInThePlanWhatABlockKept()
{
    const auto folder = fresh();
    tune::BlockResult block = sample_run::block(0);
    block.layers.clear();
    block.kept = {{"layers.0.q", "stays at 16 bits: for a test"}};
    const auto require_kept = [](const RunFolder& run) {
        const PlannedLayer* layer = run.plan().find("layers.0.q");
        QVERIFY(!layer->scheme.is_quantized() && !layer->as_asked);
        QCOMPARE(layer->reason, std::string("stays at 16 bits: for a test"));
        QVERIFY(!run.contains("layers.0.q"));
        QVERIFY(run.plan().find("layers.1.q")->scheme.is_quantized());
    };
    std::string before;
    {
        const auto run = create(disk(), folder);
        before = read_text_file(folder / "run.json");
        run->publish_block(0, block, true);
        require_kept(*run);
    }
    require_kept(*RunFolder::open(folder));
    // Killed between the block and the record.
    std::ofstream(folder / "run.json", std::ios::binary) << before;
    require_kept(*RunFolder::resume(disk(), folder, sample_run::spec(), sample_run::model()));
    require_kept(*RunFolder::open(folder));
}

BITSMITH_TEST(RunFolderTest)
#include "run_folder_test.moc"
