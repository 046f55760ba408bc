// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/services/run_library.h"

#include "app/gui/services/pool_call.h"
#include "widgets/models/run_list_model.h"
#include "widgets/text/format_text.h"

namespace bitsmith::gui {

namespace {

struct Answer
{
    std::shared_ptr<const RunDocument> document; ///< null when it could not be read
    QString message;
};

std::vector<RunSummary> listRuns()
{
    try {
        return list_runs(default_runs_folder());
    } catch (const std::exception&) {
        // A folder that cannot be listed shows as no runs; opening one by hand tells the reason.
        return {};
    }
}

Answer readRun(const std::filesystem::path& folder)
{
    try {
        auto document = std::make_shared<RunDocument>();
        document->summary = read_run(folder);
        document->spec = read_run_spec(folder);
        document->events = read_run_events(folder);
        return {std::move(document), {}};
    } catch (const std::exception& error) {
        return {nullptr, ui::toQString(error.what())};
    }
}

} // namespace

RunLibrary::RunLibrary(ui::RunListModel* model, QObject* parent)
    : QObject(parent)
    , m_model(model)
{ }

void RunLibrary::refresh()
{
    callInPool(
        this, [] { return listRuns(); },
        [this](const std::vector<RunSummary>& runs) { m_model->setRuns(runs); });
}

void RunLibrary::open(const QString& folder)
{
    const int request = ++m_request;
    callInPool(
        this, [path = folder.toStdString()] { return readRun(path); },
        [this, request, folder](const Answer& answer) {
            if (request != m_request) {
                return;
            }
            answer.document != nullptr ? Q_EMIT opened(answer.document)
                                       : Q_EMIT openFailed(folder, answer.message);
        });
}

} // namespace bitsmith::gui
