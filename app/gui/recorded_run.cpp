// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/gui/recorded_run.h"

#include <bitsmith/spec_json.h>

#include <QFile>

namespace bitsmith::gui {

std::vector<Event> readRecordedRun(const QString& file)
{
    QFile input(file);
    if (!input.open(QIODevice::ReadOnly)) {
        fail(ErrorCode::FileNotFound, "recorded run cannot be read",
            {{"file", file.toStdString()}, {"reason", input.errorString().toStdString()}});
    }
    std::vector<Event> events;
    while (!input.atEnd()) {
        const QByteArray line = input.readLine().trimmed();
        if (line.isEmpty()) {
            continue;
        }
        if (auto event = event_from_json(
                std::string_view(line.constData(), static_cast<std::size_t>(line.size())))) {
            events.push_back(std::move(*event));
        }
    }
    return events;
}

QString bundledRecording()
{
    return QStringLiteral(":/bitsmith/recorded-run.jsonl");
}

} // namespace bitsmith::gui
