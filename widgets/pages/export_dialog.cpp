// SPDX-License-Identifier: GPL-3.0-or-later
#include "widgets/pages/export_dialog.h"

#include "widgets/controls/export_offer_table.h"
#include "widgets/controls/export_result.h"
#include "widgets/controls/path_edit.h"
#include "widgets/controls/scroll_area.h"
#include "widgets/controls/state_chip.h"
#include "widgets/controls/text_dialog.h"
#include "widgets/text/format_text.h"

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>

#include <numeric>

using namespace Qt::StringLiterals;

namespace bitsmith::ui {

namespace {

constexpr int kBarSteps = 1000;

qint64 bytesOf(const std::vector<ExportOffer>& offers)
{
    return std::accumulate(offers.begin(), offers.end(), qint64(0),
        [](qint64 sum, const ExportOffer& offer) { return sum + offer.bytes; });
}

/// Share of one order that is done, 0 to 1. Where answers are compared that is half of the work.
double shareOf(const ExportOrder& order, const ExportProgress& progress)
{
    const double written = order.comparesAnswers ? 0.5 : 1;
    const double done = progress.total > 0
        ? static_cast<double>(progress.done) / static_cast<double>(progress.total)
        : 0;
    switch (progress.step) {
    case ExportStep::Writing:
        return written * done;
    case ExportStep::ReadingBack:
        return written;
    case ExportStep::ComparingAnswers:
        return written + (1 - written) * done;
    }
    return 0;
}

} // namespace

ExportDialog::ExportDialog(const ExportSource& source, ExportWorker* worker, QWidget* parent)
    : QDialog(parent)
    , m_source(source)
    , m_worker(worker)
    , m_runtime(new QComboBox)
    , m_message(mutedLabel(tr("Reading the run…")))
    , m_offers(new ExportOfferTable)
    , m_folder(new PathEdit(PathEdit::Kind::Folder, u"exportFolder"_s))
    , m_space(mutedLabel({}))
    , m_noSpace(new StateChip)
    , m_compare(new QCheckBox(tr("Compare answers with the original model")))
    , m_bar(new QProgressBar)
    , m_activity(mutedLabel({}))
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
    parts->addWidget(buildFormats());
    parts->addWidget(buildFolder());
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
    layout->addWidget(buildProgress());
    layout->addWidget(buildButtons());
    // Enter in a field must not begin an export; Ctrl+Enter does.
    for (QPushButton* button : findChildren<QPushButton*>()) {
        button->setAutoDefault(false);
    }
    resize(fontMetrics().averageCharWidth() * 120, fontMetrics().height() * 48);
    connectWorker();
    refresh();
    m_runtime->setFocus();
}

Card* ExportDialog::buildFormats()
{
    auto* card = new Card(tr("Formats"));
    auto* question = new QLabel(tr("What will run the model?"));
    question->setBuddy(m_runtime);
    m_runtime->setObjectName(u"exportRuntimeCombo"_s);
    m_runtime->setAccessibleName(question->text());
    m_runtime->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    m_runtime->addItem(tr("Any program"), QString());
    connect(m_runtime, &QComboBox::currentIndexChanged, m_offers,
        [this] { m_offers->setRuntime(m_runtime->currentData().toString()); });
    connect(m_offers, &ExportOfferTable::chosenChanged, this, &ExportDialog::refresh);
    connect(m_offers, &ExportOfferTable::cardRequested, this,
        [this](const std::string& format) { m_worker->findCard(m_source.run, format); });
    connect(m_offers, &ExportOfferTable::ownRunRequested, this, [this](const ExportOffer& offer) {
        Q_EMIT ownRunRequested(offer);
        reject();
    });
    m_message->setObjectName(u"exportOffersMessage"_s);
    m_message->setTextFormat(Qt::PlainText);
    card->header()->insertWidget(0, question);
    card->header()->insertWidget(1, m_runtime);
    card->titleLabel()->hide();
    card->body()->addWidget(m_message);
    card->body()->addWidget(m_offers);
    return card;
}

Card* ExportDialog::buildFolder()
{
    auto* card = new Card(tr("Folder"));
    m_folder->setAccessibleLabel(tr("Folder that the exports are written into"));
    m_folder->setPath(QString(m_source.run + u"/exports"_s));
    connect(m_folder, &PathEdit::pathChanged, this, &ExportDialog::askFreeSpace);
    m_space->setObjectName(u"exportSpaceLabel"_s);
    m_noSpace->setObjectName(u"exportNoSpaceChip"_s);
    m_noSpace->setLook({tr("Not enough space"), Icon::Warning, ColorRole::Bad});
    auto* space = new QHBoxLayout;
    space->addWidget(m_noSpace);
    space->addWidget(m_space, 1);
    card->body()->addWidget(m_folder);
    card->body()->addLayout(space);
    return card;
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

QWidget* ExportDialog::buildProgress()
{
    m_bar->setObjectName(u"exportProgressBar"_s);
    m_bar->setRange(0, kBarSteps);
    m_bar->setTextVisible(false);
    m_bar->setAccessibleName(tr("Progress of the export"));
    m_activity->setObjectName(u"exportActivityLabel"_s);
    m_activity->setTextFormat(Qt::PlainText);
    auto* progress = new QWidget;
    auto* layout = new QVBoxLayout(progress);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_bar);
    layout->addWidget(m_activity);
    return progress;
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

void ExportDialog::connectWorker()
{
    connect(m_worker, &ExportWorker::offersFound, this, &ExportDialog::setOffers);
    connect(m_worker, &ExportWorker::offersFailed, this, &ExportDialog::showOffersError);
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
    return m_folder->path();
}

void ExportDialog::setOffers(const std::vector<ExportOffer>& offers)
{
    m_message->hide();
    m_offers->setOffers(offers);
    while (m_runtime->count() > 1) {
        m_runtime->removeItem(1);
    }
    for (const QString& runtime : m_offers->runtimes()) {
        m_runtime->addItem(runtime, runtime);
    }
    refresh();
}

void ExportDialog::showOffersError(const QString& message)
{
    m_message->setText(tr("This run cannot be exported. %1").arg(message));
}

void ExportDialog::showText(const QString& title, const QString& text)
{
    (new TextDialog(title, text, this))->open();
}

void ExportDialog::askFreeSpace()
{
    m_freeBytes.reset();
    refresh();
    if (!folder().isEmpty()) {
        m_worker->findFreeSpace(folder());
    }
}

void ExportDialog::setFreeSpace(const QString& folder, qint64 bytes)
{
    if (folder == m_folder->path() && bytes >= 0) {
        m_freeBytes = bytes;
        refresh();
    }
}

void ExportDialog::startExport()
{
    m_orders.clear();
    for (const ExportOffer& offer : m_offers->chosen()) {
        m_orders.push_back(exportOrder(m_source, offer.format, folder()));
        m_orders.back().comparesAnswers = m_compare->isChecked();
    }
    setPhase(Phase::Exporting);
    showProgress({});
    m_worker->startExports(m_source.run, m_orders);
}

void ExportDialog::reject()
{
    if (m_phase == Phase::Choosing) {
        QDialog::reject();
    } else if (m_phase == Phase::Exporting) {
        setPhase(Phase::Cancelling);
        m_activity->setText(tr("Cancelling; what is half-written is removed"));
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
        const ExportOrder& order = m_orders[static_cast<std::size_t>(progress.index)];
        const double share =
            (progress.index + shareOf(order, progress)) / static_cast<double>(m_orders.size());
        m_bar->setValue(static_cast<int>(share * kBarSteps));
        m_activity->setText(progressText(progress));
    }
}

QString ExportDialog::progressText(const ExportProgress& progress) const
{
    const ExportOrder& order = m_orders[static_cast<std::size_t>(progress.index)];
    const QString title = m_offers->title(order.format);
    const QString number = QString::number(progress.index + 1);
    const QString count = QString::number(m_orders.size());
    if (progress.step == ExportStep::ReadingBack) {
        return tr("%1 (%2 of %3): reading the files back").arg(title, number, count);
    }
    if (progress.step == ExportStep::ComparingAnswers) {
        return tr("%1 (%2 of %3): comparing answers; cancelling keeps the files")
            .arg(title, number, count);
    }
    if (progress.total <= 0) {
        return tr("%1 (%2 of %3): opening the run").arg(title, number, count);
    }
    const auto amount = [&progress](int64_t value) {
        return progress.unit == "bytes"_L1 ? formatBytes(value) : QString::number(value);
    };
    const QString unit = progress.unit == "bytes"_L1 ? QString() : progress.unit;
    return tr("%1 (%2 of %3): %4 of %5 %6")
        .arg(title, number, count, amount(progress.done), amount(progress.total), unit)
        .trimmed();
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
    const qint64 needed = bytesOf(chosen);
    const bool choosing = m_phase == Phase::Choosing;
    const bool tooLarge = m_freeBytes && needed > *m_freeBytes;
    m_runtime->setEnabled(choosing);
    m_offers->setEnabled(choosing);
    m_folder->setEnabled(choosing);
    m_compare->setEnabled(choosing);
    m_bar->parentWidget()->setVisible(!choosing);
    m_noSpace->setVisible(tooLarge);
    const QString free = m_freeBytes ? formatBytes(*m_freeBytes) : unknownValue();
    m_space->setText(chosen.empty()
            ? tr("Free: %1. Tick the formats to write.").arg(free)
            : tr("Needed: at most %1. Free: %2.").arg(formatBytes(needed), free));
    m_export->setEnabled(choosing && !chosen.empty() && !tooLarge && !folder().isEmpty());
    m_close->setText(choosing ? tr("Close") : tr("Cancel"));
    m_close->setEnabled(m_phase != Phase::Cancelling);
}

} // namespace bitsmith::ui
