// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the headers of the draft's model on a pool thread whenever its path changes.
#pragma once

#include "widgets/state/job_draft.h"

namespace bitsmith::gui {

class ModelInspection : public QObject
{
    Q_OBJECT

public:
    explicit ModelInspection(ui::JobDraft* draft, QObject* parent = nullptr);

private:
    void inspect(const QString& path);

    ui::JobDraft* m_draft;
};

} // namespace bitsmith::gui
