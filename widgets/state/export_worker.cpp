// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/state/export_worker.h"

#include "widgets/text/format_text.h"

#include <QRegularExpression>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

ExportWorker::~ExportWorker() = default;

ExportOrder exportOrder(
    const ExportSource& source, const std::string& format, const QString& folder)
{
    static const QRegularExpression unsafe(u"[^A-Za-z0-9._-]+"_s);
    QString name =
        QStringList{shortModelName(source.model), source.scheme, toQString(format)}.join(u'-');
    name.replace(unsafe, u"-"_s);
    return {format, std::filesystem::path(folder.toStdString()) / name.toStdString()};
}

} // namespace bitsmith::ui
