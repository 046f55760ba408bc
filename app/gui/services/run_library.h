// SPDX-License-Identifier: GPL-3.0-or-later
// Run folders: lists the recent ones and reads one, on pool threads.
#pragma once

#include <bitsmith/run_reader.h>

#include <QObject>

#include <memory>

namespace bitsmith::ui {
class RunListModel;
}

namespace bitsmith::gui {

/// Everything that a run folder says.
struct RunDocument
{
    RunSummary summary;
    JobSpec spec;
    std::vector<Event> events;
};

class RunLibrary : public QObject
{
    Q_OBJECT

public:
    /// Fills `model`, which must live as long.
    explicit RunLibrary(ui::RunListModel* model, QObject* parent = nullptr);

    void refresh();
    /// Answers with opened or openFailed; an answer for a folder that was followed by another
    /// request is dropped.
    void open(const QString& folder);

Q_SIGNALS:
    void opened(std::shared_ptr<const bitsmith::gui::RunDocument> document);
    void openFailed(const QString& folder, const QString& message);

private:
    ui::RunListModel* m_model;
    int m_request = 0;
};

} // namespace bitsmith::gui
