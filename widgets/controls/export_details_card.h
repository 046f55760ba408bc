// SPDX-License-Identifier: GPL-3.0-or-later
// How large files of an export may be, and what its model card says: a row per field of
// ExportDetails.
#pragma once

#include "widgets/controls/card.h"

#include <bitsmith/export_offer.h>

namespace bitsmith::ui {

class OptionForm;
class StateChip;

class ExportDetailsCard : public Card
{
    Q_OBJECT

public:
    explicit ExportDetailsCard(QWidget* parent = nullptr);

    /// Shows what is known of the run; what was edited is given up.
    void setFacts(const ExportFacts& facts);
    /// As edited.
    const ExportDetails& details() const { return m_details; }

private:
    void showDetails();

    ExportDetails m_known; ///< what a reset goes back to
    ExportDetails m_details;
    StateChip* m_tokenizer;
    StateChip* m_chatTemplate;
    OptionForm* m_form;
};

} // namespace bitsmith::ui
