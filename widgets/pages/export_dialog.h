// SPDX-License-Identifier: GPL-3.0-or-later
// Writes a finished run in one or more formats: what will run the model, which formats, where to,
// what the model card says, how far it is, how it ended. The work is done by an ExportWorker.
#pragma once

#include "widgets/state/export_worker.h"

#include <QDialog>

class QCheckBox;
class QPushButton;
class QScrollArea;
class QVBoxLayout;

namespace bitsmith::ui {

class Card;
class ExportDetailsCard;
class ExportFolderCard;
class ExportFormatsCard;
class ExportOfferTable;
class ExportProgressView;

class ExportDialog : public QDialog
{
    Q_OBJECT

public:
    /// `worker` must live as long.
    ExportDialog(const ExportSource& source, ExportWorker* worker, QWidget* parent = nullptr);

    /// Asks the worker what the run can be exported to, and for the free space.
    void load();
    QString folder() const;
    void setFacts(const ExportFacts& facts);
    void setOffers(const std::vector<ExportOffer>& offers);
    /// Of the chosen folder; negative: not known. An answer for another folder is dropped.
    void setFreeSpace(const QString& folder, qint64 bytes);
    void addOutcome(const ExportOutcome& outcome);

    /// While an export runs this cancels it and leaves the dialog open.
    void reject() override;

Q_SIGNALS:
    void openRequested(const QString& folder);
    /// A job of its own for a format that cannot hold this run; the dialog closes.
    void ownRunRequested(const bitsmith::ExportOffer& offer);

private:
    enum class Phase
    {
        Choosing,
        Exporting,
        Cancelling
    };

    Card* buildChecks();
    QWidget* buildButtons();
    void connectParts();
    void connectWorker();
    void askFreeSpace();
    void startExport();
    void setPhase(Phase phase);
    void showText(const QString& title, const QString& text);
    void showProgress(const ExportProgress& progress);
    void refresh();

    ExportSource m_source;
    ExportWorker* m_worker;
    Phase m_phase = Phase::Choosing;
    ExportFormatsCard* m_formats;
    ExportOfferTable* m_offers; ///< in m_formats
    ExportFolderCard* m_folder;
    ExportDetailsCard* m_details;
    QCheckBox* m_compare;
    ExportProgressView* m_progress;
    QVBoxLayout* m_results;
    QScrollArea* m_scroll = nullptr;
    QPushButton* m_close;
    QPushButton* m_export;
};

} // namespace bitsmith::ui
