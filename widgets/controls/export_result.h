// SPDX-License-Identifier: GPL-3.0-or-later
// How the export in one format ended: checked or not, where it lies, its files, how its answers
// compare, how to serve and share it, or why it failed.
#pragma once

#include "widgets/controls/card.h"
#include "widgets/state/export_worker.h"

namespace bitsmith::ui {

class ExportResult : public Card
{
    Q_OBJECT

public:
    ExportResult(const ExportOutcome& outcome, const QString& title, QWidget* parent = nullptr);

Q_SIGNALS:
    void openRequested(const QString& folder);

private:
    void addText(const QString& name, const QString& text);
    void addPath(const ExportOutcome& outcome);
    void addFiles(const std::vector<ExportFile>& files);
    void addAnswers(const std::vector<AnswerPair>& answers);
    /// A command line, or a button that shows a text of several lines.
    void addServeText(const ServeText& text);
    /// A command line `name`, and a button that copies it; nothing when it is empty.
    void addCommand(const QString& name, const QString& title, const QString& command);
    /// A line of text with a button that shows more in a window of its own.
    void addDetails(const QString& name, const QString& summary, const QString& button,
        const QString& title, const QString& details);
};

} // namespace bitsmith::ui
