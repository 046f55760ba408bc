// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/services/model_inspection.h"

#include "app/gui/services/pool_call.h"
#include "widgets/text/error_text.h"
#include "widgets/text/format_text.h"

#include <bitsmith/job.h>

namespace bitsmith::gui {

namespace {

struct Answer
{
    std::shared_ptr<const ModelInfo> model; ///< null when it could not be read
    QString message;
};

Answer inspectModel(const std::string& path)
{
    try {
        return {std::make_shared<const ModelInfo>(inspect_model(path)), {}};
    } catch (const Error& error) {
        return {nullptr,
            ui::errorTitle(error.code()) + QLatin1String(". ") + ui::toQString(error.what())};
    } catch (const std::exception& error) {
        return {nullptr,
            ui::errorTitle(ErrorCode::Internal) + QLatin1String(". ")
                + ui::toQString(error.what())};
    }
}

} // namespace

ModelInspection::ModelInspection(ui::JobDraft* draft, QObject* parent)
    : QObject(parent)
    , m_draft(draft)
{
    connect(draft, &ui::JobDraft::modelPathChanged, this, &ModelInspection::inspect);
    inspect(ui::toQString(draft->spec().model.path));
}

void ModelInspection::inspect(const QString& path)
{
    if (path.isEmpty()) {
        return;
    }
    // The path is the request's id: the draft drops an answer for a path it no longer has.
    callInPool(
        this, [path = path.toStdString()] { return inspectModel(path); },
        [this, path](const Answer& answer) {
            answer.model != nullptr ? m_draft->setModel(path, answer.model)
                                    : m_draft->setModelError(path, answer.message);
        });
}

} // namespace bitsmith::gui
