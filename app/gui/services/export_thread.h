// SPDX-License-Identifier: GPL-3.0-or-later
// Exports finished runs on a thread of its own.
#pragma once

#include "widgets/state/export_worker.h"

#include <bitsmith/export_offer.h>
#include <bitsmith/job.h>

#include <functional>

class QThread;

namespace bitsmith::gui {

/// The core's functions that an export calls; tests pass their own. All may throw.
struct ExportCalls
{
    std::function<std::vector<ExportOffer>(const std::filesystem::path&)> offers = export_offers;
    std::function<ExportFacts(const std::filesystem::path&)> facts = export_facts;
    std::function<ExportReport(const std::filesystem::path&, const std::string&,
        const std::filesystem::path&, Observer&, RunControl, const ExportDetails&)>
        write = export_run;
    std::function<std::vector<std::string>(
        const std::filesystem::path&, const std::filesystem::path&)>
        verify = verify_export;
    std::function<std::vector<ExportFile>(const std::filesystem::path&)> files = exported_files;
    std::function<std::vector<ServeText>(const std::string&, const std::filesystem::path&)>
        serveTexts = serve_texts;
    std::function<std::string(
        const std::filesystem::path&, const std::string&, const ExportDetails&)>
        card = preview_card;
    std::function<std::vector<AnswerPair>(
        const std::filesystem::path&, const std::filesystem::path&, Observer&, RunControl)>
        compare = compare_answers;
};

class ExportThread : public ui::ExportWorker
{
    Q_OBJECT

public:
    explicit ExportThread(ExportCalls calls = {}, QObject* parent = nullptr);
    /// Cancels running exports and waits for them.
    ~ExportThread() override;

    void findOffers(const QString& run) override;
    void findFreeSpace(const QString& folder) override;
    void findCard(
        const QString& run, const std::string& format, const ExportDetails& details) override;
    void startExports(const QString& run, const std::vector<ui::ExportOrder>& orders) override;
    void cancel() override;

private:
    /// On the export thread: every order, one after the other.
    void writeAll(const std::filesystem::path& run, const std::vector<ui::ExportOrder>& orders,
        const RunControl& control);
    ui::ExportOutcome write(const std::filesystem::path& run, const ui::ExportOrder& order,
        int index, const RunControl& control);
    void check(const std::filesystem::path& run, ui::ExportOutcome& outcome) const;
    /// What goes wrong here is a note: the files are written and checked.
    void compare(const std::filesystem::path& run, ui::ExportOutcome& outcome, int index,
        const RunControl& control);
    /// Passes the progress of one step on.
    std::function<void(const StageProgress&)> reporter(int index, ui::ExportStep step);
    /// Any thread: reports on the window's thread, in the order of the calls.
    void reportProgress(const ui::ExportProgress& progress);
    void onThreadFinished();

    ExportCalls m_calls;
    RunControl m_control;
    QThread* m_thread = nullptr;
};

} // namespace bitsmith::gui
