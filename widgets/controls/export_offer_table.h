// SPDX-License-Identifier: GPL-3.0-or-later
// Formats that a finished run can be written in, one row each, to tick. A format that cannot hold the
// run stays visible, greyed, says why, and offers another run where that would help.
#pragma once

#include <bitsmith/export_offer.h>

#include <QWidget>

class QCheckBox;
class QGridLayout;
class QPushButton;

namespace bitsmith::ui {

class ExportOfferTable : public QWidget
{
    Q_OBJECT

public:
    explicit ExportOfferTable(QWidget* parent = nullptr);

    /// Shows `offers` in their order. Each has a box named "offer_" + format.
    void setOffers(const std::vector<ExportOffer>& offers);
    /// Hides the formats that `runtime` does not read; empty: shows all.
    void setRuntime(const QString& runtime);
    /// Every runtime that some offer names, sorted.
    QStringList runtimes() const;

    /// Ticked and shown.
    std::vector<ExportOffer> chosen() const;
    void untick(const std::string& format);
    /// Name of `format` for people; its id when no offer has it.
    QString title(const std::string& format) const;

Q_SIGNALS:
    void chosenChanged();
    void cardRequested(const std::string& format);
    void ownRunRequested(const bitsmith::ExportOffer& offer);

private:
    struct Row
    {
        ExportOffer offer;
        QCheckBox* box;
        std::vector<QWidget*> parts; ///< all widgets of the row
    };

    void addHead(QGridLayout* grid);
    void addRow(QGridLayout* grid, const ExportOffer& offer);
    /// What can be done with an offer besides ticking it; null: nothing.
    QPushButton* actionOf(const ExportOffer& offer);
    void refreshRows();

    std::vector<Row> m_rows;
    QString m_runtime;
};

} // namespace bitsmith::ui
