// SPDX-License-Identifier: GPL-3.0-or-later
// Writes a finished run in one or more formats: what will run the model, which formats, where to, how
// far it is, how it ended. The work is done by an ExportWorker.
#pragma once

#include "widgets/state/export_worker.h"

#include <QDialog>

#include <optional>

class QCheckBox;
class QComboBox;
class QLabel;
class QProgressBar;
class QPushButton;
class QScrollArea;
class QVBoxLayout;

namespace bitsmith::ui {

class Card;
class ExportOfferTable;
class PathEdit;
class StateChip;

class ExportDialog : public QDialog
{
    Q_OBJECT

public:
    /// `worker` must live as long.
    ExportDialog(const ExportSource& source, ExportWorker* worker, QWidget* parent = nullptr);

    /// Asks the worker what the run can be exported to, and for the free space.
    void load();
    QString folder() const;
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

    Card* buildFormats();
    Card* buildFolder();
    Card* buildChecks();
    QWidget* buildProgress();
    QWidget* buildButtons();
    void connectWorker();
    void askFreeSpace();
    void startExport();
    void setPhase(Phase phase);
    void showOffersError(const QString& message);
    void showText(const QString& title, const QString& text);
    void showProgress(const ExportProgress& progress);
    QString progressText(const ExportProgress& progress) const;
    void refresh();

    ExportSource m_source;
    ExportWorker* m_worker;
    Phase m_phase = Phase::Choosing;
    std::optional<qint64> m_freeBytes; ///< of the chosen folder, once it is known
    std::vector<ExportOrder> m_orders; ///< being written
    QComboBox* m_runtime;
    QLabel* m_message;
    ExportOfferTable* m_offers;
    PathEdit* m_folder;
    QLabel* m_space;
    StateChip* m_noSpace;
    QCheckBox* m_compare;
    QProgressBar* m_bar;
    QLabel* m_activity;
    QVBoxLayout* m_results;
    QScrollArea* m_scroll = nullptr;
    QPushButton* m_close;
    QPushButton* m_export;
};

} // namespace bitsmith::ui
