// SPDX-License-Identifier: GPL-3.0-or-later
// What a finished run and an export of it say about each other.
#include "run/run_lock.h"
#include "run/run_record.h"
#include "support/expect_error.h"
#include "support/test_main.h"
#include "unit/core/run/rounded_run.h"

#include <bitsmith/export_offer.h>
#include <bitsmith/run_reader.h>
#include <bitsmith/spec_json.h>

#include <QtTest>

#include <algorithm>

using namespace bitsmith;
namespace fs = std::filesystem;

class ExportRunTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void isListedByItsRun();
    void isListedOnceWhenItIsWrittenAnew();
    void staysInTheReportOfARunThatIsResumed();
    void isWrittenWhileTheRunCannotBeChanged();
    void previewsTheCardThatIsWritten();
    void namesWhatWasMeasuredInItsCard();
    void listsFilesWithTheirChecksums();
    void refusesAFolderWithoutAList();

private:
    JobSpec finish(const std::string& name) const
    {
        const JobSpec spec = rounded_run::spec(m_model.path(), "W4A16G32", m_temp / name);
        rounded_run::finish(spec);
        return spec;
    }
    static ExportReport write(const fs::path& run, const fs::path& target, Observer& observer)
    {
        return export_run(run, "auto_round", target, observer, {});
    }

    const rounded_run::Model m_model;
    const TempFolder m_temp;
};

namespace {

/// That the run does not list its export.
std::vector<std::string> list_warnings(const RecordingObserver& seen)
{
    std::vector<std::string> texts;
    for (const Event& event : seen.events) {
        const auto* warning = event.get_if<Warning>();
        if (warning != nullptr
            && warning->text.find("does not list this export") != std::string::npos) {
            texts.push_back(warning->text);
        }
    }
    return texts;
}

} // namespace

void ExportRunTest::isListedByItsRun()
{
    const fs::path run = finish("listed").runtime.run_dir;
    const std::size_t before = read_run_events(run).size();
    RecordingObserver seen;
    const ExportReport written = write(run, m_temp / "listed-out", seen);
    const std::vector<Event> events = read_run_events(run);
    QCOMPARE(events.size(), before + 1);
    const ExportFinished expected{"auto_round", written.path, written.bytes, true};
    QVERIFY(events.back().get_if<ExportFinished>() != nullptr);
    QVERIFY(*events.back().get_if<ExportFinished>() == expected);
    const std::optional<Report> report = read_run_report(run);
    QCOMPARE(report->exports.size(), std::size_t(1));
    QCOMPARE(report->exports[0].path, written.path);
    QCOMPARE(report->exports[0].bytes, written.bytes);
    QCOMPARE(read_run(run).state, JobState::Done);
    QVERIFY(list_warnings(seen).empty());
}

void ExportRunTest::isListedOnceWhenItIsWrittenAnew()
{
    const fs::path run = finish("anew").runtime.run_dir;
    NullObserver silent;
    write(run, m_temp / "anew-out", silent);
    fs::remove_all(m_temp / "anew-out");
    write(run, m_temp / "anew-out", silent);
    write(run, m_temp / "anew-more", silent);
    QCOMPARE(read_run_report(run)->exports.size(), std::size_t(2));
}

void ExportRunTest::staysInTheReportOfARunThatIsResumed()
{
    const JobSpec spec = finish("resumed");
    NullObserver silent;
    const ExportReport written = write(spec.runtime.run_dir, m_temp / "resumed-out", silent);
    const Outcome outcome = bitsmith::run(spec, true, silent, {});
    QVERIFY2(outcome.state == JobState::Done, outcome.message.c_str());
    QCOMPARE(outcome.report.exports.size(), std::size_t(1));
    QCOMPARE(outcome.report.exports[0].path, written.path);
    QCOMPARE(read_run_report(spec.runtime.run_dir)->exports.size(), std::size_t(1));
}

void ExportRunTest::isWrittenWhileTheRunCannotBeChanged()
{
    const fs::path run = finish("locked").runtime.run_dir;
    const std::size_t before = read_run_events(run).size();
    const RunLock lock(run);
    RecordingObserver seen;
    write(run, m_temp / "locked-out", seen);
    QCOMPARE(verify_export(m_temp / "locked-out", run), std::vector<std::string>());
    QCOMPARE(list_warnings(seen).size(), std::size_t(1));
    QCOMPARE(read_run_events(run).size(), before);
}

void ExportRunTest::previewsTheCardThatIsWritten()
{
    const fs::path run = finish("card").runtime.run_dir;
    NullObserver silent;
    for (const ExportOffer& offer : export_offers(run)) {
        if (offer.fits) {
            const fs::path target = m_temp / ("card-" + offer.format);
            const std::string card = preview_card(run, offer.format);
            export_run(run, offer.format, target, silent, {});
            QCOMPARE(card, read_text_file(target / "README.md"));
        }
    }
    EXPECT_ERROR(UnsupportedFormat, EXPECT_WORDS({"gguff"}), preview_card(run, "gguff"));
}

void ExportRunTest::namesWhatWasMeasuredInItsCard()
{
    const fs::path run = finish("measured").runtime.run_dir;
    QVERIFY(preview_card(run, "gguf").find("Measured on") == std::string::npos);
    Report report = *read_run_report(run);
    report.eval = EvalReport();
    report.eval->tokens = 4096;
    report.eval->kld_mean = 0.125;
    publish_file(disk(), run / run_files::kReport, to_json(report));
    const std::string card = preview_card(run, "gguf");
    QVERIFY(card.find("Measured on 4096 tokens") != std::string::npos);
    QVERIFY(card.find("mean, nats per token | 0.125 |") != std::string::npos);
    QVERIFY(card.find("| perplexity |") == std::string::npos);
}

void ExportRunTest::listsFilesWithTheirChecksums()
{
    const fs::path run = finish("files").runtime.run_dir;
    NullObserver silent;
    write(run, m_temp / "files-out", silent);
    const std::vector<ExportFile> files = exported_files(m_temp / "files-out");
    const auto config = std::find_if(files.begin(), files.end(),
        [](const ExportFile& file) { return file.name == "config.json"; });
    QVERIFY(config != files.end());
    for (const ExportFile& file : files) {
        QCOMPARE(file.bytes, static_cast<int64_t>(fs::file_size(m_temp / "files-out" / file.name)));
        QCOMPARE(file.sha256, sha256_file(m_temp / "files-out" / file.name));
    }
}

void ExportRunTest::refusesAFolderWithoutAList()
{
    m_temp.write("plain/notes.txt", "mine");
    EXPECT_ERROR(FileNotFound, EXPECT_WORDS({"bitsmith.json"}), exported_files(m_temp / "plain"));
    m_temp.write("bad/bitsmith.json", R"({"files": {"a": {"bytes": "many"}}})");
    EXPECT_ERROR(FileCorrupt, EXPECT_WORDS({"bitsmith.json"}), exported_files(m_temp / "bad"));
}

BITSMITH_TEST(ExportRunTest)
#include "export_run_test.moc"
