// SPDX-License-Identifier: GPL-3.0-or-later
// Choice of the model, and the facts that inspection found.
#pragma once

#include "widgets/pages/job/job_section.h"

class QStackedLayout;

namespace bitsmith::ui {

class PathEdit;
class StatTile;

class ModelSectionCard : public JobSection
{
    Q_OBJECT

public:
    explicit ModelSectionCard(JobDraft* draft);

    void setRecent(const QStringList& paths);

protected:
    void refresh() override;

private:
    QWidget* buildFacts();
    void showFacts(const ModelInfo& model);

    PathEdit* m_path;
    QStackedLayout* m_stack;
    QLabel* m_message;
    StatTile* m_family;
    StatTile* m_blocks;
    StatTile* m_parameters;
    StatTile* m_size;
    StatTile* m_tokenizer;
    QLabel* m_warnings;
};

} // namespace bitsmith::ui
