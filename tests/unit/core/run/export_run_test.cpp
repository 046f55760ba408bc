// SPDX-License-Identifier: GPL-3.0-or-later
// What a finished run and an export of it say about each other.
#include "export/gguf/gguf_exporter.h"
#include "run/run_lock.h"
#include "run/run_record.h"
#include "source/gguf_parts.h"
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
    void saysWhatIsKnownOfTheModel();
    void saysWhatItsUserSays();
    void isSplitAsItsUserSays();
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

namespace {

std::optional<std::string> gguf_text(const fs::path& exported, std::string_view key)
{
    return source::GgufParts::open(exporting::gguf_file_in(exported))->metadata().text(key);
}

} // namespace

void ExportRunTest::saysWhatIsKnownOfTheModel()
{
    const rounded_run::Model model;
    model.temp.write("README.md", "---\nlicense: \"my own\"\n---\n# Tiny\n");
    JobSpec spec = rounded_run::spec(model.path(), "W4A16G32", m_temp / "known");
    spec.exports.author = "Ada";
    spec.exports.max_shard_gb = 3;
    rounded_run::finish(spec);
    const ExportFacts facts = export_facts(spec.runtime.run_dir);
    QCOMPARE(facts.details.model_name, fs::path(model.path()).filename().string());
    QCOMPARE(facts.details.author, std::string("Ada"));
    QCOMPARE(facts.details.license, std::string("my own"));
    QCOMPARE(facts.details.source, std::string());
    QCOMPARE(facts.details.max_shard_gb, 3.0);
    const ModelInfo info = inspect_model(model.path());
    QCOMPARE(facts.tokenizer, info.tokenizer);
    QCOMPARE(facts.has_chat_template, info.has_chat_template);
    const std::string card = preview_card(spec.runtime.run_dir, "gguf");
    QVERIFY(card.starts_with("---\nlicense: \"my own\"\nlibrary_name: gguf\n"));
    QVERIFY(card.find("\nAuthor: Ada.\n") != std::string::npos);
}

void ExportRunTest::saysWhatItsUserSays()
{
    const fs::path run = finish("told").runtime.run_dir;
    ExportDetails details;
    details.model_name = "Tiny One";
    details.author = "Ada";
    details.license = "my own: # terms";
    details.source = "org/tiny";
    details.notes = "Made for *tests*.";
    NullObserver silent;
    export_run(run, "gguf", m_temp / "told-out", silent, {}, details);
    const std::string card = read_text_file(m_temp / "told-out" / "README.md");
    QCOMPARE(card, preview_card(run, "gguf", details));
    QVERIFY2(card.starts_with("---\nlicense: \"my own: # terms\"\nbase_model: org/tiny\n"),
        card.c_str());
    for (const char* part : {"\n# Tiny One, W4A16G32\n", "\nAuthor: Ada.\n",
             "\nOriginal model: org/tiny.\n", "\nMade for *tests*.\n"}) {
        QVERIFY2(card.find(part) != std::string::npos, part);
    }
    const std::pair<const char*, const char*> fields[] = {{"general.name", "Tiny One"},
        {"general.author", "Ada"}, {"general.license", "my own: # terms"},
        {"general.source.url", "https://huggingface.co/org/tiny"}};
    for (const auto& [key, text] : fields) {
        QVERIFY2(gguf_text(m_temp / "told-out", key) == text, key);
    }
    QCOMPARE(verify_export(m_temp / "told-out", run), std::vector<std::string>());
    // An address is no model that the Hub could list it under.
    details.source = "https://example.org/tiny";
    const std::string other = preview_card(run, "gguf", details);
    QVERIFY(other.find("base_model") == std::string::npos);
    QVERIFY(other.find("Original model: https://example.org/tiny.") != std::string::npos);
}

void ExportRunTest::isSplitAsItsUserSays()
{
    const fs::path run = finish("split").runtime.run_dir;
    ExportDetails details;
    details.max_shard_gb = 2e-5; // 20 kB
    details.max_gguf_gb = 2e-5;
    const auto count = [](const fs::path& folder, const char* ending) {
        return std::count_if(fs::directory_iterator(folder), fs::directory_iterator(),
            [ending](
                const fs::directory_entry& entry) { return entry.path().extension() == ending; });
    };
    const std::pair<const char*, const char*> formats[] = {
        {"fake", ".safetensors"}, {"gguf", ".gguf"}};
    NullObserver silent;
    for (const auto& [format, ending] : formats) {
        const std::string name = std::string("split-") + format;
        export_run(run, format, m_temp / name, silent, {});
        export_run(run, format, m_temp / (name + "-small"), silent, {}, details);
        QCOMPARE(count(m_temp / name, ending), std::ptrdiff_t{1});
        QVERIFY2(count(m_temp / (name + "-small"), ending) > 1, format);
        QCOMPARE(verify_export(m_temp / (name + "-small"), run), std::vector<std::string>());
    }
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
