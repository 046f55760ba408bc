// SPDX-License-Identifier: GPL-3.0-or-later
// What will run the model, and what a run can be exported to for it.
#pragma once

#include "widgets/controls/card.h"

#include <bitsmith/export_offer.h>

class QComboBox;

namespace bitsmith::ui {

class ExportOfferTable;

class ExportFormatsCard : public Card
{
    Q_OBJECT

public:
    explicit ExportFormatsCard(QWidget* parent = nullptr);

    void setOffers(const std::vector<ExportOffer>& offers);
    /// Instead of offers.
    void showError(const QString& message);
    ExportOfferTable* table() const { return m_table; }

private:
    QComboBox* m_runtime;
    QLabel* m_message;
    ExportOfferTable* m_table;
};

} // namespace bitsmith::ui
