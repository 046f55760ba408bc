// SPDX-License-Identifier: GPL-3.0-or-later
// How the export in one format ended: checked or not, where it lies, how to serve it, or why it failed.
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
    void addCommand(const QString& command);
};

} // namespace bitsmith::ui
