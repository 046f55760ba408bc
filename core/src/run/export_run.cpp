// SPDX-License-Identifier: GPL-3.0-or-later
// `export`: a finished run in one more format, and what the run itself says about it.
#include "base/text.h"
#include "base/timing.h"
#include "export/marker.h"
#include "export/model_card.h"
#include "run/finished_run.h"
#include "run/journal.h"
#include "run/report_builder.h"
#include "run/run_lock.h"
#include "run/run_record.h"
#include "run/stages.h"

#include <bitsmith/export_offer.h>
#include <bitsmith/spec_json.h>

namespace bitsmith {

namespace {

namespace stdfs = std::filesystem;

/// Adds `exported` to journal and report of the run. Throws InvalidSpec while another process works
/// in the run, WriteFailed.
void record_export(const stdfs::path& folder, const ExportFinished& exported)
{
    const RunLock lock(folder);
    JournalWriter journal(disk(), folder / run_files::kJournal);
    journal.append({0, now_ms(), exported});
    journal.flush();
    if (std::optional<Report> report = read_run_report(folder)) {
        add_export(*report, exported);
        publish_file(disk(), folder / run_files::kReport, to_json(*report));
    }
}

} // namespace

ExportReport export_run(const stdfs::path& run, const std::string& format,
    const stdfs::path& output, Observer& observer, RunControl control,
    const std::optional<ExportDetails>& details)
{
    EventEmitter emitter(observer);
    RunContext context{emitter, std::move(control), "cpu", 0};
    const FinishedRun finished = open_finished_run(run, details);
    const StageScope stage(context, Stage::Export, format);
    const ExportReport report = exporting::publish_export(
        context, disk(), exporting::exporter_for(format), finished.input(), output);
    const ExportFinished exported{report.format, report.path, report.bytes, true};
    emitter.emit(exported);
    try {
        record_export(finished.folder->folder(), exported);
    } catch (const Error& error) {
        // The files are published and whole: a run on a read-only disk can be exported too.
        emitter.warn("export", concat("the run does not list this export: ", error.what()));
    }
    return report;
}

std::string preview_card(
    const stdfs::path& run, const std::string& format, const std::optional<ExportDetails>& details)
{
    const FinishedRun finished = open_finished_run(run, details);
    return exporting::model_card(finished.input(), exporting::exporter_for(format));
}

std::vector<ExportFile> exported_files(const stdfs::path& exported)
{
    const stdfs::path file = exported / exporting::kMarkerFile;
    const Json marker = read_json_file(file);
    std::vector<ExportFile> files;
    try {
        for (const auto& [name, entry] : marker.at("files").items()) {
            files.push_back(
                {name, entry.at("bytes").get<int64_t>(), entry.at("sha256").get<std::string>()});
        }
    } catch (const Json::exception& error) {
        fail(ErrorCode::FileCorrupt, "the list of files is damaged",
            {{"file", file.string()}, {"reason", error.what()}});
    }
    return files;
}

} // namespace bitsmith
