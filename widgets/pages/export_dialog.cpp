// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/export_dialog.h"

#include "widgets/controls/export_details_card.h"
#include "widgets/controls/export_folder_card.h"
#include "widgets/controls/export_formats_card.h"
#include "widgets/controls/export_offer_table.h"
#include "widgets/controls/export_progress_view.h"
#include "widgets/controls/export_result.h"
#include "widgets/controls/scroll_area.h"
#include "widgets/controls/text_dialog.h"
#include "widgets/text/format_text.h"

#include <QCheckBox>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>

#include <numeric>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

qint64 bytesOf(const std::vector<ExportOffer>& offers)
{
    return std::accumulate(offers.begin(), offers.end(), qint64(0),
        [](qint64 sum, const ExportOffer& offer) { return sum + offer.bytes; });
}

} // namespace

ExportDialog::ExportDialog(const ExportSource& source, ExportWorker* worker, QWidget* parent)
    : QDialog(parent)
    , m_source(source)
    , m_worker(worker)
    , m_formats(new ExportFormatsCard)
    , m_offers(m_formats->table())
    , m_folder(new ExportFolderCard(QString(source.run + u"/exports"_s)))
    , m_details(new ExportDetailsCard)
    , m_compare(new QCheckBox(tr("Compare answers with the original model")))
    , m_progress(new ExportProgressView)
    , m_results(new QVBoxLayout)
    , m_close(new QPushButton)
    , m_export(new QPushButton(tr("Export")))
{
    setObjectName(u"exportDialog"_s);
    setWindowTitle(tr("Export %1").arg(shortModelName(source.model)));
    auto* content = new QWidget;
    auto* parts = new QVBoxLayout(content);
    parts->setContentsMargins(0, 0, 0, 0);
    parts->setSpacing(12);
    parts->addWidget(m_formats);
    parts->addWidget(m_folder);
    parts->addWidget(m_details);
    parts->addWidget(buildChecks());
    parts->addLayout(m_results);
    parts->addStretch();
    m_results->setSpacing(12);
    m_scroll = plainScrollArea(content);
    m_scroll->setObjectName(u"exportScroll"_s);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(16, 16, 16, 16);
    layout->setSpacing(12);
    layout->addWidget(m_scroll, 1);
    layout->addWidget(m_progress);
    layout->addWidget(buildButtons());
    // Enter in a field must not begin an export; Ctrl+Enter does.
    for (QPushButton* button : findChildren<QPushButton*>()) {
        button->setAutoDefault(false);
    }
    resize(fontMetrics().averageCharWidth() * 120, fontMetrics().height() * 48);
    connectParts();
    connectWorker();
    refresh();
    m_formats->setFocus();
}

Card* ExportDialog::buildChecks()
{
    auto* card = new Card(tr("After writing"));
    m_compare->setObjectName(u"exportCompareBox"_s);
    m_compare->setToolTip(tr("Both models answer %1 short prompts, one model after the other. Each "
                             "needs four bytes of memory per weight, and minutes without a "
                             "graphics card.")
                              .arg(comparison_prompts().size()));
    card->body()->addWidget(
        mutedLabel(tr("All files are read back, compared with the run, and get a checksum.")));
    card->body()->addWidget(m_compare);
    return card;
}

QWidget* ExportDialog::buildButtons()
{
    m_close->setObjectName(u"exportCloseButton"_s);
    m_export->setObjectName(u"exportStartButton"_s);
    m_export->setProperty("primary", true);
    m_export->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_Return));
    connect(m_close, &QPushButton::clicked, this, &ExportDialog::reject);
    connect(m_export, &QPushButton::clicked, this, &ExportDialog::startExport);
    auto* buttons = new QWidget;
    auto* layout = new QHBoxLayout(buttons);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addStretch();
    layout->addWidget(m_close);
    layout->addWidget(m_export);
    return buttons;
}

void ExportDialog::connectParts()
{
    connect(m_offers, &ExportOfferTable::chosenChanged, this, &ExportDialog::refresh);
    connect(m_offers, &ExportOfferTable::cardRequested, this, [this](const std::string& format) {
        m_worker->findCard(m_source.run, format, m_details->details());
    });
    connect(m_offers, &ExportOfferTable::ownRunRequested, this, [this](const ExportOffer& offer) {
        Q_EMIT ownRunRequested(offer);
        reject();
    });
    connect(m_folder, &ExportFolderCard::folderChanged, this, &ExportDialog::askFreeSpace);
}

void ExportDialog::connectWorker()
{
    connect(m_worker, &ExportWorker::factsFound, this, &ExportDialog::setFacts);
    connect(m_worker, &ExportWorker::offersFound, this, &ExportDialog::setOffers);
    connect(m_worker, &ExportWorker::offersFailed, m_formats, &ExportFormatsCard::showError);
    connect(m_worker, &ExportWorker::freeSpaceFound, this, &ExportDialog::setFreeSpace);
    connect(m_worker, &ExportWorker::progressed, this, &ExportDialog::showProgress);
    connect(m_worker, &ExportWorker::finished, this, &ExportDialog::addOutcome);
    connect(m_worker, &ExportWorker::cardFound, this,
        [this](const std::string& format, const QString& text) {
            showText(tr("Model card of %1").arg(m_offers->title(format)), text);
        });
    connect(m_worker, &ExportWorker::cardFailed, this,
        [this](const std::string& format, const QString& message) {
            showText(tr("No model card of %1").arg(m_offers->title(format)), message);
        });
    connect(m_worker, &ExportWorker::allFinished, this, [this] {
        setPhase(Phase::Choosing);
        askFreeSpace();
    });
}

void ExportDialog::load()
{
    m_worker->findOffers(m_source.run);
    askFreeSpace();
}

QString ExportDialog::folder() const
{
    return m_folder->folder();
}

void ExportDialog::setFacts(const ExportFacts& facts)
{
    m_details->setFacts(facts);
}

void ExportDialog::setOffers(const std::vector<ExportOffer>& offers)
{
    m_formats->setOffers(offers);
    refresh();
}

void ExportDialog::showText(const QString& title, const QString& text)
{
    (new TextDialog(title, text, this))->open();
}

void ExportDialog::askFreeSpace()
{
    m_folder->forgetFreeSpace();
    refresh();
    if (!folder().isEmpty()) {
        m_worker->findFreeSpace(folder());
    }
}

void ExportDialog::setFreeSpace(const QString& folder, qint64 bytes)
{
    m_folder->setFreeSpace(folder, bytes);
    refresh();
}

void ExportDialog::startExport()
{
    m_export->setFocus(); // ends what is being typed when a shortcut has led here
    if (!m_export->isEnabled()) {
        return;
    }
    std::vector<ExportOrder> orders;
    QStringList titles;
    for (const ExportOffer& offer : m_offers->chosen()) {
        orders.push_back(exportOrder(m_source, offer.format, folder()));
        orders.back().comparesAnswers = m_compare->isChecked();
        orders.back().details = m_details->details();
        titles << m_offers->title(offer.format);
    }
    setPhase(Phase::Exporting);
    m_progress->begin(orders, titles);
    m_worker->startExports(m_source.run, orders);
}

void ExportDialog::reject()
{
    if (m_phase == Phase::Choosing) {
        QDialog::reject();
    } else if (m_phase == Phase::Exporting) {
        setPhase(Phase::Cancelling);
        m_progress->showCancelling();
        m_worker->cancel();
    }
}

void ExportDialog::setPhase(Phase phase)
{
    m_phase = phase;
    refresh();
}

void ExportDialog::showProgress(const ExportProgress& progress)
{
    if (m_phase == Phase::Exporting) {
        m_progress->showProgress(progress);
    }
}

void ExportDialog::addOutcome(const ExportOutcome& outcome)
{
    auto* result = new ExportResult(outcome, m_offers->title(outcome.order.format));
    connect(result, &ExportResult::openRequested, this, &ExportDialog::openRequested);
    m_results->addWidget(result);
    result->show();
    if (outcome.state == JobState::Done) {
        m_offers->untick(outcome.order.format);
    }
    // The card has its place only after the layout has run.
    QMetaObject::invokeMethod(
        result, [this, result] { m_scroll->ensureWidgetVisible(result); }, Qt::QueuedConnection);
}

void ExportDialog::refresh()
{
    const std::vector<ExportOffer> chosen = m_offers->chosen();
    const bool choosing = m_phase == Phase::Choosing;
    m_folder->setNeeded(chosen.empty() ? std::nullopt : std::optional(bytesOf(chosen)));
    m_formats->setEnabled(choosing);
    m_folder->setEnabled(choosing);
    m_details->setEnabled(choosing);
    m_compare->setEnabled(choosing);
    m_progress->setVisible(!choosing);
    m_export->setEnabled(choosing && !chosen.empty() && m_folder->isReady());
    m_close->setText(choosing ? tr("Close") : tr("Cancel"));
    m_close->setEnabled(m_phase != Phase::Cancelling);
}

} // namespace bitsmith::ui
